//! What Prometheus is told.

use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The counters of a server.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    stages: Family<Of, Histogram>,
    /// Requests that were let in and are not answered.
    pub waiting: Gauge,
    /// Clips and films that are worked on.
    pub running: Gauge,
    pub crashes: Counter,
    pub late: Counter,
    pub bytes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    stage: &'static str,
}

/// Where a request's time goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// Until the clip is here.
    Upload,
    /// Until it is its turn.
    Wait,
    Decode,
    Network,
    /// The whole answer.
    Request,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Wait => "wait",
            Self::Decode => "decode",
            Self::Network => "network",
            Self::Request => "request",
        }
    }
}

/// Seconds, from a small clip's decoding to the default time limit.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("classify");
        let requests = Family::<Answered, Counter>::default();
        let stages = Family::<Of, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let [waiting, running] = [(); 2].map(|()| Gauge::default());
        let [crashes, late, bytes] = [(); 3].map(|()| Counter::default());
        registry.register("requests", "Answers, by route and status", requests.clone());
        registry.register_with_unit("stage", "Where requests' time goes", Unit::Seconds, stages.clone());
        registry.register("queue_length", "Requests let in and not answered", waiting.clone());
        registry.register("running", "Clips and films that are worked on", running.clone());
        registry.register("worker_crashes", "Clips that crashed the decoder", crashes.clone());
        registry.register("timeouts", "Clips and videos that took longer than they may", late.clone());
        registry.register_with_unit("uploaded", "What clients sent", Unit::Bytes, bytes.clone());
        Self { registry, requests, stages, waiting, running, crashes, late, bytes }
    }

    /// A request for `route` was answered with `status`.
    pub(super) fn answered(&self, route: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let route = route.map_or("other", MatchedPath::as_str).to_owned();
        self.requests.get_or_create(&Answered { route, status: status.as_u16() }).inc();
        self.took(Stage::Request, took);
    }

    /// A `stage` took so long.
    pub(super) fn took(&self, stage: Stage, time: Duration) {
        self.stages.get_or_create(&Of { stage: stage.name() }).observe(time.as_secs_f64());
    }

    /// All of them in OpenMetrics' text format.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
