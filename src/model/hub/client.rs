//! Requests to the hub.

use std::time::Duration;

use reqwest::blocking::{self, Response};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LINK, LOCATION, RANGE,
    RETRY_AFTER,
};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::{HubName, Settings};
use crate::error::root_cause;
use crate::tls;

/// How long the hub may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// From a hub's address to that of its store, which may be one of several.
const REDIRECTS: usize = 5;

/// Asks one hub about one model.
pub(super) struct Client {
    http: blocking::Client,
    endpoint: Url,
    token: Option<HeaderValue>,
    name: HubName,
}

/// A file's bytes on their way, and what the hub said of them.
pub(super) struct Reply {
    pub response: Response,
    /// The checksum that the hub knows the file by.
    pub etag: Option<String>,
    /// Of the whole file.
    pub size: Option<u64>,
    pub commit: Option<String>,
    /// Where in the file the bytes begin.
    pub from: u64,
}

impl Client {
    /// # Errors
    /// Why the settings can't be used.
    pub(super) fn new(settings: &Settings, name: &HubName) -> Result<Self, String> {
        let endpoint = Url::parse(&settings.endpoint).ok().filter(|url| url.has_host());
        let endpoint = endpoint.ok_or_else(|| {
            format!("HF_ENDPOINT={} is no address like https://huggingface.co", settings.endpoint)
        })?;
        let token = settings.token.as_deref().map(|token| HeaderValue::try_from(format!("Bearer {token}")));
        let token =
            token.transpose().map_err(|_| "the token in HF_TOKEN holds characters that no token has")?;
        tls::prepare();
        let http = blocking::Client::builder()
            .user_agent(concat!("classify/", env!("CARGO_PKG_VERSION")))
            .timeout(SILENCE)
            // By hand: what the hub says beside a redirect is needed, and the token is for the hub alone.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| format!("no connection can be made: {}", words(&e)))?;
        Ok(Self { http, endpoint, token, name: name.clone() })
    }

    /// The hub's address as people write it.
    fn hub(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// The page that a person opens.
    pub(super) fn page(&self) -> String {
        format!("{}/{}", self.hub(), self.name.model())
    }

    /// An address of the hub: `segments` below the endpoint.
    pub(super) fn address<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The JSON at `url`, and the address of its next page.
    pub(super) fn json<T: DeserializeOwned>(&self, url: &Url) -> Result<(T, Option<Url>), Failure> {
        let reply = self.get(url, 0)?;
        let next = reply.response.headers().get_all(LINK).iter().find_map(|link| next(link.to_str().ok()?));
        let next = next.and_then(|next| url.join(&next).ok());
        // A hub that leads to another host's pages would get the token sent there.
        let next = next.filter(|next| next.origin() == self.endpoint.origin());
        let text = reply.response.bytes().map_err(|e| self.broken(&e))?;
        let value = serde_json::from_slice(&text)
            .map_err(|e| format!("{} answers with something else than a hub does: {e}", self.hub()))?;
        Ok((value, next))
    }

    /// The bytes at `url` from `from` on; from the beginning where the server has it so.
    pub(super) fn get(&self, url: &Url, from: u64) -> Result<Reply, Failure> {
        let mut url = url.clone();
        let (mut etag, mut size, mut commit) = (None, None, None);
        for _ in 0..=REDIRECTS {
            // The bytes as they are, not packed: their number and their checksum count.
            let mut request = self.http.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
                request = request.header(AUTHORIZATION, token);
            }
            let response = request.send().map_err(|e| self.broken(&e))?;
            let headers = response.headers();
            let of_hub = url.origin() == self.endpoint.origin();
            etag = etag.or_else(|| text(headers, "x-linked-etag").filter(|_| of_hub).map(unquoted));
            size = size.or_else(|| text(headers, "x-linked-size")?.parse().ok());
            commit = commit.or_else(|| text(headers, "x-repo-commit").map(Into::into));
            if response.status().is_redirection() {
                let location = text(headers, LOCATION.as_str()).and_then(|to| url.join(to).ok());
                url = location.ok_or_else(|| format!("{} redirects to nowhere", self.hub()))?;
                continue;
            }
            self.check(&response)?;
            let from = match response.status() {
                StatusCode::PARTIAL_CONTENT => begin(headers)
                    .ok_or_else(|| format!("{} sends a part without saying which", self.hub()))?,
                _ => 0,
            };
            // A store of large files has ETags of its own.
            etag = etag.or_else(|| text(headers, ETAG.as_str()).filter(|_| of_hub).map(unquoted));
            return Ok(Reply { response, etag, size, commit, from });
        }
        Err(format!("{} redirects in a circle", self.hub()).into())
    }

    /// What a status means, and what to do about it.
    fn check(&self, response: &Response) -> Result<(), Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let headers = response.headers();
        let code = text(headers, "x-error-code").unwrap_or_default();
        let (model, page) = (self.name.model(), self.page());
        let tokens = format!("{}/settings/tokens", self.hub());
        let revision = self.name.revision();
        Err(Failure::Lasting(match (status.as_u16(), code, self.token.is_some()) {
            (_, "GatedRepo", false) => format!(
                "it is given to those only who accept its terms: do that on {page}, then set HF_TOKEN to a token \
                 of yours ({tokens})"
            ),
            (_, "GatedRepo", true) => format!(
                "it is given to those only who accept its terms: do that on {page}, with the account whose token \
                 HF_TOKEN is"
            ),
            (_, "RevisionNotFound", _) => {
                format!("there is no revision {revision} of it; {page}/tree/main lists its branches and tags")
            }
            (401, _, false) => format!(
                "the hub has no such model for everybody: check the name, or for a private or gated one open \
                 {page}, accept its terms and set HF_TOKEN to a token of yours ({tokens})"
            ),
            (401 | 403, _, true) => format!(
                "the hub refuses the token in HF_TOKEN: check the name {model}, open {page} and accept its terms \
                 with that token's account, or make a new token ({tokens})"
            ),
            (403, _, false) => format!(
                "the hub refuses it: open {page}, accept its terms and set HF_TOKEN to a token of yours ({tokens})"
            ),
            (404, _, _) => format!("{} has no such model, or no revision {revision} of it", self.hub()),
            (429, _, _) => {
                let wait = text(headers, RETRY_AFTER.as_str()).and_then(|wait| wait.parse().ok());
                return Err(Failure::Passing {
                    reason: format!("{} has had too many requests (429)", self.hub()),
                    wait: wait.map(Duration::from_secs),
                });
            }
            (408 | 500.., _, _) => {
                return Err(Failure::passing(format!(
                    "{} can't answer now ({})",
                    self.hub(),
                    status.as_u16()
                )));
            }
            _ => format!("{} answers {status}", self.hub()),
        }))
    }

    /// A connection that wasn't made or broke.
    fn broken(&self, error: &reqwest::Error) -> Failure {
        let what = match error.is_connect() {
            true => format!("{} can't be reached", self.hub()),
            false => format!("the connection to {} broke", self.hub()),
        };
        Failure::passing(format!("{what} ({})", words(error)))
    }
}

/// Its [`root_cause`].
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("nothing came for {} s", SILENCE.as_secs());
    }
    let text = root_cause(error).to_string();
    text.split(" (os error ").next().unwrap_or(&text).to_lowercase()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `W/"abc"` is `abc`.
fn unquoted(etag: &str) -> String {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
}

/// The first byte's place in `Content-Range: bytes 5-9/10`.
fn begin(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// The address of the next page in `Link: <address>; rel="next"`.
fn next(link: &str) -> Option<String> {
    link.split(',').find_map(|link| {
        let (address, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
        relation.contains("rel=\"next\"").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_and_links_are_read() {
        for etag in ["abc", "\"abc\"", "W/\"abc\""] {
            assert_eq!(unquoted(etag), "abc");
        }
        assert_eq!(next("<https://a/b?cursor=x>; rel=\"next\"").unwrap(), "https://a/b?cursor=x");
        assert_eq!(next("</a>; rel=\"prev\", </b>; rel=\"next\"").unwrap(), "/b");
        assert_eq!(next("</a>; rel=\"prev\""), None);
    }
}
