//! `classify serve`: models that other programs call.
//!
//! A request is let in by the [`queue`] before its body is read. The body becomes a file without a name ([`upload`]);
//! a worker process decodes it, so that a clip that crashes FFmpeg costs one answer; and the network looks at the
//! frames here, where there is one copy of it for all ([`engine`]).

#[cfg(feature = "hub")]
mod address;
mod classify;
mod engine;
mod film;
mod kserve;
mod metrics;
mod openapi;
mod origin;
mod pipeline;
mod queue;
mod receive;
mod refusal;
mod root;
mod state;
mod upload;
mod wish;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use super::{Access, Asset, Server, Token, assets};
use crate::Result;
use engine::Engine;
use metrics::Metrics;
use origin::Origins;
use queue::Queue;
use refusal::Refusal;
use root::Root;
use upload::{Clip, Patient};

pub(crate) use engine::Model;

/// The page to drop a clip on.
const PAGE: [Asset; 3] = [
    Asset { path: "/", content: include_str!("page.html") },
    Asset { path: "/serve.css", content: include_str!("page.css") },
    Asset { path: "/serve.js", content: include_str!("page.js") },
];

/// Requests whose JSON is in memory at a time.
const JSON_AT_A_TIME: usize = 2;

/// How a server is to be.
pub(crate) struct Options {
    pub models: Vec<Model>,
    pub host: IpAddr,
    pub port: u16,
    pub token: Option<Token>,
    /// Sites whose pages may ask.
    pub cors: Vec<String>,
    /// Hosts that clips are fetched from.
    pub allow_url: Vec<String>,
    /// The folder whose files may be named.
    pub root: Option<PathBuf>,
    /// Bytes of a clip.
    pub max_size: u64,
    /// Clips that are worked on at a time.
    pub threads: usize,
    /// Requests that may wait beside them.
    pub queue: usize,
    /// For a clip.
    pub timeout: Duration,
    /// For a long video.
    pub film_timeout: Duration,
    /// Ends the server once it is true.
    pub stop: Arc<AtomicBool>,
}

/// What a request was, to be told as one line.
pub(crate) type Log = Arc<dyn Fn(String) + Send + Sync>;

/// What all requests share.
struct Shared {
    engine: Engine,
    queue: Arc<Queue>,
    limits: Limits,
    json: Semaphore,
    #[cfg(feature = "hub")]
    fetch: Option<Arc<address::Fetch>>,
    metrics: Arc<Metrics>,
    stop: Arc<AtomicBool>,
    log: Log,
}

struct Limits {
    root: Option<Arc<Root>>,
    /// Where uploads are kept.
    temp: PathBuf,
    max_size: u64,
}

/// Serves until it is stopped; `started` is told the address.
///
/// # Errors
/// Where it can't be served so, and what to do.
pub(crate) fn serve(options: Options, log: Log, started: impl FnOnce(std::net::SocketAddr)) -> Result<()> {
    let Options { models, host, port, token, cors, allow_url, root, stop, .. } = options;
    let metrics = Arc::new(Metrics::new());
    let root = root.map(|root| Root::new(&root)).transpose()?.map(Arc::new);
    let temp = std::env::temp_dir();
    // Better now than at the first upload.
    tempfile::tempfile_in(&temp).map_err(|e| crate::Error::io(&temp, e))?;
    let origins = Origins::new(&cors)?;
    #[cfg(feature = "hub")]
    let fetch = match allow_url.is_empty() {
        true => None,
        false => Some(Arc::new(address::Fetch::new(&allow_url, options.timeout)?)),
    };
    #[cfg(not(feature = "hub"))]
    if !allow_url.is_empty() {
        return Err(crate::Error::Usage(
            "--allow-url: this program was built without the feature hub".into(),
        ));
    }
    let server = Server::bind(host, port)?;
    let shared = Arc::new(Shared {
        engine: Engine::new(
            models,
            options.threads,
            [options.timeout, options.film_timeout],
            metrics.clone(),
        )?,
        queue: Arc::new(Queue::new(options.threads, options.queue, metrics.clone())),
        limits: Limits { root, temp, max_size: options.max_size },
        json: Semaphore::new(JSON_AT_A_TIME),
        #[cfg(feature = "hub")]
        fetch,
        metrics,
        stop: stop.clone(),
        log,
    });
    let document = Arc::new(openapi::document(token.is_some()));
    let app = assets(&PAGE)
        .route("/", post(pipeline::pipeline))
        .route("/classify", post(classify::classify))
        .route("/timeline", post(film::timeline))
        .route("/v2", get(kserve::about))
        .route("/v2/health/live", get(state::live))
        .route("/v2/health/ready", get(state::ready))
        .route("/v2/models/{model}", get(kserve::model))
        .route("/v2/models/{model}/ready", get(kserve::ready))
        .route("/v2/models/{model}/infer", post(kserve::infer))
        .route("/metrics", get(state::metrics))
        .route("/openapi.json", get(move || async move { Json(document.as_ref().clone()) }))
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "nothing is served there: see /openapi.json")
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "that is not asked so: see /openapi.json")
        })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(shared.clone(), observe))
        .with_state(shared);
    let app = origins.guard(app);
    started(server.address());
    // All that runs has its own limit, and then some time to be sent.
    let patience = options.timeout + Duration::from_secs(10);
    let access = Access { token, open: &["/v2/health/live", "/v2/health/ready"] };
    server.run(app, access, stop, patience)
}

/// Counts requests, and reads on what refused clients send.
async fn observe(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let what = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request.map(Patient::wrap)).await;
    let (status, took) = (response.status(), start.elapsed());
    shared.metrics.answered(route.as_ref(), status, took);
    (shared.log)(format!("{what}: {} in {} ms", status.as_u16(), took.as_millis()));
    response
}

impl Shared {
    /// The clip at an address.
    #[cfg(feature = "hub")]
    async fn fetch(&self, address: String) -> Result<Clip, Refusal> {
        let Some(fetch) = self.fetch.clone() else { return Err(no_addresses()) };
        let (temp, limit) = (self.limits.temp.clone(), self.limits.max_size);
        receive::apart(move || fetch.get(&address, &temp, limit)).await
    }

    #[cfg(not(feature = "hub"))]
    async fn fetch(&self, _address: String) -> Result<Clip, Refusal> {
        Err(no_addresses())
    }
}

fn no_addresses() -> Refusal {
    let reason = "this server fetches nothing: start it with --allow-url HOST, or send the clip in base64";
    Refusal::new(StatusCode::FORBIDDEN, reason)
}
