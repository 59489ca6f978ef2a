//! The sans-IO core of yonder.
