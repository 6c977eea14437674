//! Who may ask: whoever knows the token, where there is one, and no page of another site.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::{Error, Result};

/// A secret that a client has to know.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    /// 128 random bits, for an address that only the person who started the server sees.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
            .map_err(|_| Error::Usage("the system gives no random numbers to make a token of".into()))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(text.into()))
    }

    /// The token `text`, of printable characters without spaces.
    ///
    /// # Errors
    /// [`Error::Usage`] where a header can't carry it.
    pub(crate) fn new(text: &str) -> Result<Self> {
        match text.is_empty() || text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            true => Err(Error::Usage("a token is made of letters, digits and signs, without spaces".into())),
            false => Ok(Self(text.into())),
        }
    }

    /// Its text, for the one who may know it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares digests, whose comparison takes the same time wherever they differ.
    fn is(&self, text: &str) -> bool {
        blake3::hash(self.0.as_bytes()) == blake3::hash(text.as_bytes())
    }
}

/// Never shown by mistake.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Who may ask a server.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Sent as `Authorization: Bearer …`. A browser gives it once, as `?token=…`, and keeps it in a cookie from then on.
    pub token: Option<Token>,
    /// Paths that everybody may ask for, such as those that say whether the server lives.
    pub open: &'static [&'static str],
}

/// An [`Access`] and where it holds.
struct Door {
    access: Access,
    /// The server can be reached from this machine alone.
    is_local: bool,
    /// The port is in the cookie's name: all servers of one machine share a browser's cookies.
    cookie: String,
}

#[derive(Deserialize)]
struct Given {
    token: Option<String>,
}

impl Access {
    /// Puts the check before everything that `app`, served at `host` and `port`, answers.
    pub(super) fn guard(self, app: Router, host: IpAddr, port: u16) -> Router {
        let cookie = format!("classify-{port}");
        let door = Arc::new(Door { access: self, is_local: host.is_loopback(), cookie });
        app.layer(from_fn_with_state(door, check))
    }
}

async fn check(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if door.is_local && !names_this_machine(request.headers()) {
        return refused(StatusCode::MISDIRECTED_REQUEST, "this server answers to localhost alone");
    }
    // A browser asks so, and can't show a token then, whether a page of another site may ask.
    if request.method() == "OPTIONS" {
        return with_headers(next.run(request).await);
    }
    let given = Query::<Given>::try_from_uri(request.uri()).ok().and_then(|query| query.0.token);
    match &door.access.token {
        Some(token) if !door.access.open.contains(&request.uri().path()) => {
            if given.is_some_and(|given| token.is(&given)) && request.method() == "GET" {
                return door.remember(token, request.uri().path());
            }
            if !door.knows(token, request.headers()) {
                return refused(
                    StatusCode::UNAUTHORIZED,
                    "this server wants its token: Authorization: Bearer TOKEN",
                );
            }
        }
        _ => (),
    }
    with_headers(next.run(request).await)
}

impl Door {
    fn knows(&self, token: &Token, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookie = text(COOKIE).into_iter().flat_map(|value| value.split("; ")).find_map(|cookie| {
            let (name, value) = cookie.split_once('=')?;
            (name == self.cookie).then_some(value)
        });
        [bearer, cookie].into_iter().flatten().any(|given| token.is(given))
    }

    /// Sends a browser to the same page without the token in its address.
    fn remember(&self, token: &Token, path: &str) -> Response {
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, token.reveal());
        let mut response = StatusCode::SEE_OTHER.into_response();
        let headers = response.headers_mut();
        for (name, value) in [(SET_COOKIE, cookie.as_str()), (LOCATION, path)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Whether the request was sent to a name of this machine. A page of another site whose name was made to lead here
/// (DNS rebinding) has its own name in the request.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |h| h.0);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn refused(status: StatusCode, reason: &str) -> Response {
    (status, axum::Json(serde_json::json!({"error": reason}))).into_response()
}

/// What keeps a page from being misused: nothing from elsewhere runs in it or shows it, and its address is told to nobody.
fn with_headers(mut response: Response) -> Response {
    const HEADERS: [(&str, &str); 4] = [
        (
            "content-security-policy",
            "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
             script-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str) -> bool {
        names_this_machine(&HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]))
    }

    #[test]
    fn only_names_of_this_machine_reach_a_local_server() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "127.1.2.3"] {
            assert!(to(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1:80", "", ":"] {
            assert!(!to(host), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn tokens_differ_and_are_never_shown() {
        let [one, two] = [(); 2].map(|()| Token::random().unwrap());
        assert!(one.reveal().len() == 32 && one.is(one.reveal()) && !one.is(two.reveal()));
        assert_eq!(format!("{one:?}"), "Token(…)");
        assert!(Token::new("").is_err() && Token::new("a b").is_err() && Token::new("s3cret!").is_ok());
    }
}
