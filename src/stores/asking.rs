//! Asking web servers for exactly what an address says.
//!
//! A store takes an address apart and writes it anew: without its query, and with other characters escaped. To a server
//! the latter may be another file (`+` and `%2B`), and a signature is good for one spelling only.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientOptions, Error};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What can't stand in a request; what is escaped already stays as it is.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a server is asked for: an address from behind its host on. Goes along with a request to where it is sent.
#[derive(Clone)]
pub(super) struct Asked(String);

impl Asked {
    /// What stands behind the host's `/`, and the query.
    pub(super) fn new(path: &str, query: Option<&str>) -> Self {
        let mark = if query.is_some() { "?" } else { "" };
        Self(format!("/{}{mark}{}", utf8_percent_encode(path, ESCAPED), query.unwrap_or_default()))
    }
}

/// Makes clients that ask for what goes along as [`Asked`], and tell nobody from where they were sent on.
#[derive(Debug)]
pub(super) struct Connector {
    /// Whether it may be asked without TLS.
    pub plain: bool,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long an answer may take.
    pub answer: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("classify/", env!("CARGO_PKG_VERSION")))
            .https_only(!self.plain)
            .connect_timeout(self.connect)
            .timeout(self.answer)
            // It would hold the signature of the address that sends on.
            .referer(false)
            .build()
            .map_err(|e| Error::Generic { store: "HTTP", source: Box::new(e) })?;
        Ok(HttpClient::new(Client(client)))
    }
}

#[derive(Debug)]
struct Client(reqwest::Client);

impl HttpService for Client {
    fn call<'a: 'b, 'b>(&'a self, mut request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        Self: 'b,
    {
        async move {
            if let Some(Asked(asked)) = request.extensions().get() {
                let mut whole = request.uri().clone().into_parts();
                // The reason why it is none would show it.
                let invalid = |_| std::io::Error::other("this is no address");
                let asked = asked.parse().map_err(invalid).map_err(unsent)?;
                whole.path_and_query = Some(asked);
                *request.uri_mut() = whole.try_into().map_err(unsent)?;
            }
            self.0.call(request).await
        }
        .boxed()
    }
}

fn unsent<E: std::error::Error + Send + Sync + 'static>(error: E) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_stays_as_it_is() {
        assert_eq!(Asked::new("a b%20é+%2B.mp4", None).0, "/a%20b%20%C3%A9+%2B.mp4");
        assert_eq!(Asked::new("a.mp4", Some("x=%2F&y=+")).0, "/a.mp4?x=%2F&y=+");
    }
}
