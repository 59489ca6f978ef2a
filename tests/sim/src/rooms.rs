//! Rooms, of which any number serve one document, on the lowerings of the log: clients that post and read over HTTP, and
//! clients with sockets; instances that come, go and crash; a network that delays, loses and repeats.

mod client;
mod finish;
mod host;
mod network;
mod world;

pub use world::World;
