//! A network between two parts of this machine: it delays, it stalls, it cuts, and it knows how long it held what it carried.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

/// How long bytes take, by how many reads came before on their connection and direction.
pub(crate) type Delay = fn(u32) -> Duration;

/// A delay with a long tail: exponentially distributed. The numbers are spread evenly over it, and those that follow each
/// other are far apart.
pub(crate) fn jitter(number: u32, mean: Duration) -> Duration {
    let share = f64::from(number.wrapping_add(1).wrapping_mul(2_654_435_769)) / f64::from(u32::MAX);
    mean.mul_f64(-(1.0 - share).max(0.001).ln())
}

/// What leads to a server; it ends with this.
pub(crate) struct Network {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

struct State {
    server: SocketAddr,
    /// There, and back.
    delays: [Delay; 2],
    /// From when until when nothing moves.
    stall: Mutex<Option<(Instant, Instant)>>,
    /// Whether connections end at their next bytes.
    cuts: AtomicBool,
    /// How long each read of the way there was held.
    held: Mutex<Vec<Duration>>,
}

impl Network {
    pub(crate) fn up(server: SocketAddr, there: Delay, back: Delay) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stall, cuts) = (Mutex::new(None), AtomicBool::new(false));
        let state = Arc::new(State { server, delays: [there, back], stall, cuts, held: Mutex::default() });
        let (end, ended) = oneshot::channel();
        let of_thread = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(&listener, &of_thread) => {}
                    _ = ended => {}
                }
            });
        });
        Ok(Self { address, state, end: Some((end, thread)) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Nothing moves for this long, from then on.
    pub(crate) fn stall(&self, from: Instant, length: Duration) {
        *lock(&self.state.stall) = Some((from, from + length));
    }

    /// How long bytes were held on their way there, sorted: one for each time that a client wrote.
    pub(crate) fn held(&self) -> Vec<Duration> {
        let mut held = lock(&self.state.held).clone();
        held.sort_unstable();
        held
    }

    /// Connections end at their next bytes, or do not any more.
    pub(crate) fn cut(&self, cuts: bool) {
        self.state.cuts.store(cuts, Ordering::SeqCst);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: &TcpListener, state: &Arc<State>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(state.server).await else { return };
            if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
                return;
            }
            let ([there, back], (from, to)) = (state.delays, (client.into_split(), server.into_split()));
            // Who ends, ends both.
            tokio::select! {
                () = carry(from.0, to.1, there, &state, |held| lock(&state.held).push(held)) => {}
                () = carry(to.0, from.1, back, &state, |_| {}) => {}
            }
        });
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay: Delay,
    state: &State,
    tell: impl Fn(Duration),
) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Duration, Vec<u8>)>();
    let reading = async {
        let mut buffer = vec![0; 64 << 10];
        for number in 0.. {
            let Ok(length @ 1..) = from.read(&mut buffer).await else { break };
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if state.cuts.load(Ordering::SeqCst)
                || sender.send((Instant::now(), delay(number), bytes)).is_err()
            {
                break;
            }
        }
        drop(sender);
    };
    let writing = async {
        while let Some((came, delay, bytes)) = receiver.recv().await {
            // A timer is exact to a millisecond only.
            if !delay.is_zero() {
                sleep_until((came + delay).into()).await;
            }
            let stall = *lock(&state.stall);
            if let Some((from, until)) = stall
                && (from..until).contains(&Instant::now())
            {
                sleep_until(until.into()).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
            tell(came.elapsed());
        }
    };
    tokio::select! {
        () = async { tokio::join!(reading, std::future::pending::<()>()); } => {}
        () = writing => {}
    }
}
