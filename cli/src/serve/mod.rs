//! The server: protocols of other tools in, questions out, assembled from one file a topic.

mod access;
mod app;
mod artifact;
mod base64;
mod cursor;
mod endpoint;
mod gate;
mod health;
mod limits;
mod listen;
mod marquez;
mod metaflow;
mod metrics;
mod mlflow;
mod native;
mod openapi;
mod openlineage;
mod pipe;
mod positions;
mod query;
mod receive;
mod reply;
mod router;
mod tls;
mod turns;
mod upkeep;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::exit::{ExitCode, Problem};
use crate::session::Session;
use access::Access;
use app::App;
use limits::Limits;
use listen::Listener;
use metrics::Metrics;
use router::Routes;
pub(crate) use tls::tls;
use writer::Writer;

/// Threads that speak with connections; the work is done by others.
const WORKERS: usize = 2;
/// Threads that may block: questions, files, large bodies.
const BLOCKING: usize = 8;
/// A question that nests deeply needs much of it; only what is used takes memory.
const STACK: usize = 16 * 1024 * 1024;
/// How often the journal is looked at for what other processes record, while someone follows.
const LOOK: Duration = Duration::from_millis(500);

/// How to serve.
pub(crate) struct Options {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// Whether a token is asked for.
    pub(crate) require_tokens: bool,
    /// With TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// The most connections at once.
    pub(crate) connections: usize,
    /// Requests a second of one principal or address.
    pub(crate) rate: Option<u32>,
}

/// Every route of the server. A further protocol adds its own between the first and the last line.
fn routes() -> Routes {
    let routes = health::routes(Routes::default());
    let routes = openlineage::routes(routes);
    let routes = native::routes(routes);
    let routes = marquez::routes(routes);
    let routes = metaflow::routes(routes);
    let routes = mlflow::routes(routes);
    let routes = query::routes(routes);
    let routes = artifact::routes(routes);
    let routes = positions::routes(routes);
    openapi::routes(routes)
}

/// Serves until a signal comes and what was accepted by then is finished.
pub(crate) fn run(session: Session, options: Options) -> anyhow::Result<ExitCode> {
    let runtime = runtime().context("cannot start the threads of the server")?;
    session.sign_while_writing();
    let session = Arc::new(session);
    let code = runtime.block_on(serve(Arc::clone(&session), options))?;
    // Whatever still runs is a question whose asker went away.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Ok(session) = Arc::try_unwrap(session) {
        session.finish(false);
    }
    Ok(code)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .thread_name("lineage-serve")
        .enable_all()
        .build()
}

async fn serve(session: Arc<Session>, options: Options) -> anyhow::Result<ExitCode> {
    let socket = TcpListener::bind(options.listen)
        .await
        .map_err(|error| Problem::failed(format!("cannot listen on {}: {error}", options.listen)))?;
    let address = socket.local_addr().context("cannot tell the address")?;
    let metrics = Arc::new(Metrics::default());
    let (head_in, head) = watch::channel(session.store.head()?.count);
    let (stop, stopping) = watch::channel(false);
    let (writer, thread) = Writer::start(Arc::clone(&session), Arc::clone(&metrics), head_in.clone())
        .context("cannot start the writer")?;
    let access = Access::open(session.store.layout().root(), options.require_tokens);
    let limits = Limits::new(options.rate);
    let app = App::new(Arc::clone(&session), writer, access, limits, Arc::clone(&metrics), head, stopping.clone());
    let app = Arc::new(app);
    let mut routes = routes();
    app.metrics.describe(routes.endpoints());
    let listener = Listener { socket, tls: options.tls, connections: options.connections, metrics };
    // Whoever is told where the server listens may send it a signal at once.
    let signals = Signals::listen().context("cannot listen for signals")?;
    tell(&session, &listener, address)?;
    let watched = tokio::spawn(follow(Arc::clone(&session), head_in));
    let kept_up = tokio::spawn(upkeep::run(Arc::clone(&session)));
    let served = listener.serve(std::mem::take(&mut routes).serve(Arc::clone(&app)), stopping);
    let served = tokio::spawn(served);
    let code = wait(&app, signals).await;
    stop.send_replace(true);
    served.await.context("the server stopped early")?;
    watched.abort();
    kept_up.abort();
    drop(app);
    // The queue is closed with its last holder; the thread records what waits and ends.
    tokio::task::spawn_blocking(move || thread.join()).await.ok();
    Ok(code)
}

/// The signals that end the server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they do not end the process by themselves.
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// Waits for a reason to stop.
async fn wait(app: &App, mut signals: Signals) -> ExitCode {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => return ExitCode::Done,
            _ = signals.terminate.recv() => return ExitCode::Done,
            _ = look.tick() => {}
        }
        if app.writer.has_failed() {
            app.session.context.terminal.tell("error: a write failed, so that nothing more is acknowledged");
            app.session.context.terminal.tell("help: start the server again; it goes on with what is on the disk");
            return ExitCode::Failed;
        }
    }
}

/// Looks for what other processes record, and tells those who follow.
async fn follow(session: Arc<Session>, head: watch::Sender<u64>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if head.receiver_count() > 1
            && let Ok(now) = session.store.head()
        {
            head.send_if_modified(|count| std::mem::replace(count, now.count) != now.count);
        }
    }
}

/// Says where the server listens.
fn tell(session: &Session, listener: &Listener, address: SocketAddr) -> anyhow::Result<()> {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let terminal = &session.context.terminal;
    if session.context.json {
        terminal.print(&serde_json::json!({ "url": url, "store": session.store.layout().root() }).to_string())?;
    } else {
        terminal.print(&format!("listening on {url}; stop with Ctrl-C"))?;
    }
    Ok(())
}
