//! Which store an address means, and what in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::asking::{Asked, Connector};
use super::process::process;
use super::scheme::{is_web, split};
use super::{failure, signature};
use crate::tls;

/// How long a connection may take, and how long an answer to one request.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(30);
/// How often, and for how long, a request is tried again that a store couldn't answer.
const RETRIES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in a store.
#[derive(Clone)]
pub(super) struct Place {
    pub store: Arc<dyn ObjectStore>,
    pub key: Key,
    /// The store and what comes before keys: `s3://bucket/`.
    pub root: String,
    /// What a web server is asked for.
    asked: Option<Asked>,
    is_signed: bool,
}

impl Place {
    /// The place that an address means. Keys stand in it as they are, without escapes; in `http` addresses with them, as
    /// everywhere.
    ///
    /// # Errors
    /// Why it means none, in words.
    pub(super) fn of(path: &Path) -> Result<Self, String> {
        let (scheme, rest) = split(path).ok_or("is no address in a store")?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!("names no bucket: {scheme}://BUCKET/KEY"));
        }
        if bucket.contains('@') {
            return Err(signature::LOGIN.into());
        }
        if signature::split(path).is_some() {
            return Err("has a query (?…), which only the command takes".into());
        }
        let query = signature::query(path);
        let asked = is_web(path).then(|| Asked::new(key, query.as_deref()));
        let key = match is_web(path) {
            true => Key::from_url_path(key),
            false => Key::parse(key.trim_end_matches('/')),
        };
        let key = key.map_err(|e| format!("is no address in a store: {}", failure::words(&e)))?;
        let root = format!("{scheme}://{bucket}/");
        let is_signed = query.is_some();
        Ok(Self { store: store(scheme, bucket, &root)?, key, root, asked, is_signed })
    }

    /// To be given along with each request.
    pub(super) fn options(&self) -> GetOptions {
        let mut options = GetOptions::default();
        if let Some(asked) = &self.asked {
            options.extensions.insert(asked.clone());
        }
        options
    }

    /// Whether it is good for reading only, as a signature says: not even for asking what is there.
    pub(super) fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// The address of `key` in the same store.
    pub(super) fn address(&self, key: &Key) -> String {
        format!("{}{key}", self.root)
    }
}

/// The store with this `root`; each is made once, as it keeps connections and credentials.
fn store(scheme: &str, bucket: &str, root: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let mut stores = process().map_err(|e| e.to_string())?.stores();
    if let Some(store) = stores.get(root) {
        return Ok(store.clone());
    }
    tls::prepare();
    let store = build(scheme, bucket, root).map_err(|e| failure::reason(&e))?;
    Ok(stores.entry(root.to_owned()).or_insert(store).clone())
}

fn build(scheme: &str, bucket: &str, root: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() },
        max_retries: RETRIES,
        retry_timeout: PATIENCE,
    };
    let options = |plain: bool| {
        ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(ANSWER).with_allow_http(plain)
    };
    // An endpoint of one's own, on the same machine or in the same house, may have no certificate.
    let is_plain = |names: &[&str]| {
        names.iter().any(|name| std::env::var(name).is_ok_and(|endpoint| endpoint.starts_with("http://")))
    };
    Ok(match scheme {
        "s3" => Arc::new(
            AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(options(is_plain(&[
                    "AWS_ENDPOINT",
                    "AWS_ENDPOINT_URL",
                    "AWS_ENDPOINT_URL_S3",
                ])))
                .with_retry(retry)
                .build()?,
        ),
        "gs" => {
            let mut builder =
                GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry);
            let mut plain = is_plain(&["GOOGLE_BASE_URL"]);
            // As Google's own tools know a server that stands in for theirs: it asks for no credentials.
            if let Ok(host) = std::env::var("STORAGE_EMULATOR_HOST") {
                let url = if host.contains("://") { host } else { format!("http://{host}") };
                let nobody = GcpCredential { bearer: "nobody".into() };
                plain = url.starts_with("http://");
                builder = builder
                    .with_base_url(url.trim_end_matches('/'))
                    .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
            }
            Arc::new(builder.with_client_options(options(plain)).build()?)
        }
        "az" => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_client_options(options(is_plain(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"])))
                .with_retry(retry)
                .build()?,
        ),
        _ => Arc::new(
            HttpBuilder::new()
                .with_url(root)
                .with_http_connector(Connector { plain: scheme == "http", connect: CONNECT, answer: ANSWER })
                .with_retry(retry)
                .build()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_nothing_say_why() {
        let error = |address: &str| Place::of(Path::new(address)).err().unwrap();
        assert!(error("s3:///key").contains("names no bucket"));
        assert!(error("https://me:secret@a.b/c.mp4").contains("password"));
        assert!(is_web(Path::new("https://a.b/c.mp4")) && !is_web(Path::new("s3://b/http")));
        assert!(error("https://a.b/c.mp4?X-Amz-Signature=SECRET").contains("query"));
        assert!(!error("https://a.b/c.mp4?X-Amz-Signature=SECRET").contains("SECRET"));
        assert!(error("s3://b/a//c.mp4").contains("no address"));
        let place = Place::of(Path::new("https://a.b/c%20d/e.mp4")).unwrap();
        assert_eq!((place.key.as_ref(), place.root.as_str()), ("c d/e.mp4", "https://a.b/"));
    }
}
