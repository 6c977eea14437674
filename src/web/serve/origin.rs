//! Which sites' pages may ask: this server's own, and those that were allowed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::refusal::Refusal;
use crate::{Error, Result};

/// How long a browser remembers what it may.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Sites, as browsers name them: `https://shop.example`, or `*` for all.
#[derive(Clone)]
pub(super) struct Origins(Arc<[HeaderValue]>);

impl Origins {
    /// # Errors
    /// Where one of them is none.
    pub(super) fn new(origins: &[String]) -> Result<Self> {
        let origin = |text: &String| {
            let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            let whole = text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'));
            HeaderValue::from_str(text).ok().filter(|_| whole).ok_or_else(|| {
                Error::Usage(format!("--cors {text}: must be like https://shop.example, or * for all sites"))
            })
        };
        Ok(Self(origins.iter().map(origin).collect::<Result<_>>()?))
    }

    /// Lets no other site's page have work done, and these read the answers.
    pub(super) fn guard(self, app: Router) -> Router {
        let cors = CorsLayer::new()
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE])
            .expose_headers([RETRY_AFTER])
            .max_age(REMEMBERED);
        let cors = match (self.0.is_empty(), self.has_all()) {
            (true, _) => None,
            (_, true) => Some(cors.allow_origin(AllowOrigin::any())),
            _ => Some(cors.allow_origin(AllowOrigin::list(self.0.iter().cloned()))),
        };
        let app = app.layer(from_fn_with_state(self, check));
        match cors {
            Some(cors) => app.layer(cors),
            None => app,
        }
    }

    fn has_all(&self) -> bool {
        self.0.iter().any(|origin| origin == "*")
    }

    fn may(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(origin) = headers.get(ORIGIN) else { return true };
        if self.has_all() || self.0.contains(origin) {
            return true;
        }
        match text("sec-fetch-site") {
            Some(site) => site == "same-origin",
            // Browsers leave it out where the connection isn't safe.
            None => {
                let host = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
                host.is_some_and(|(_, host)| Some(host) == text(HOST.as_str()))
            }
        }
    }
}

async fn check(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !origins.may(request.headers()) {
        let reason = "pages of other sites may not ask this server: --cors https://SITE lets one";
        return Refusal::new(StatusCode::FORBIDDEN, reason).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_have_no_work_done() {
        let own = Origins::new(&[]).unwrap();
        let one = Origins::new(&["https://shop.example".into()]).unwrap();
        let all = Origins::new(&["*".into()]).unwrap();
        let headers = |list: &[(&'static str, &'static str)]| {
            HeaderMap::from_iter(list.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), HeaderValue::from_static(value))
            }))
        };
        let no_browser = headers(&[("host", "localhost:8080")]);
        let page = headers(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")]);
        let behind_proxy = headers(&[
            ("origin", "https://a.example"),
            ("host", "127.0.0.1:1"),
            ("sec-fetch-site", "same-origin"),
        ]);
        for request in [&no_browser, &page, &behind_proxy] {
            assert!(own.may(request) && one.may(request) && all.may(request), "{request:?}");
        }
        let shop = headers(&[
            ("origin", "https://shop.example"),
            ("host", "localhost:8080"),
            ("sec-fetch-site", "cross-site"),
        ]);
        assert!(!own.may(&shop) && one.may(&shop) && all.may(&shop));
        for origin in ["https://shop.example.evil", "null", "http://shop.example", "http://localhost:8081"] {
            let evil = headers(&[("origin", origin), ("host", "localhost:8080")]);
            assert!(!own.may(&evil) && !one.may(&evil), "{origin}");
        }
        for wrong in ["shop.example", "https://", "https://a/b", "ftp://a"] {
            assert!(Origins::new(&[wrong.into()]).is_err(), "{wrong}");
        }
    }
}
