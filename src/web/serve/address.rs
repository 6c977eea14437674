//! Clips by their address on the web: from hosts that were allowed, never from a network that isn't public.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use reqwest::Url;
use reqwest::blocking::{Client, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, LOCATION};

use super::receive::lost;
use super::refusal::Refusal;
use super::upload::{Clip, file_name};
use crate::{Error, Result as OurResult};

/// From an address to that of a store, which may lead to another.
const REDIRECTS: usize = 5;

/// Which addresses may be asked.
type Filter = fn(IpAddr) -> bool;

/// Fetches clips.
pub(super) struct Fetch {
    /// `HOST` or `HOST:PORT`, in lower case.
    hosts: Vec<String>,
    client: Client,
    may_ask: Filter,
}

impl Fetch {
    /// From `hosts` alone; a clip may take up to `timeout`.
    ///
    /// # Errors
    /// Where one of the hosts is none, or there is no HTTP here.
    pub(super) fn new(hosts: &[String], timeout: Duration) -> OurResult<Self> {
        Self::with(hosts, timeout, is_public)
    }

    fn with(hosts: &[String], timeout: Duration, may_ask: Filter) -> OurResult<Self> {
        for host in hosts {
            let whole = Url::parse(&format!("http://{host}/"));
            if !whole.is_ok_and(|url| url.path() == "/" && url.username().is_empty() && !host.contains('/')) {
                let reason = format!("--allow-url {host}: must be a host, or HOST:PORT, without https://");
                return Err(Error::Usage(reason));
            }
        }
        // Another one that a program of the library's user has chosen stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("classify/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // By hand: each address on the way is looked at.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself, where nobody looks at what they lead to.
            .no_proxy()
            .dns_resolver(Arc::new(Public(may_ask)))
            .build()
            .map_err(|e| Error::Usage(format!("no connection can be made: {e}")))?;
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self { hosts, client, may_ask })
    }

    /// The clip at `address`, of at most `limit` bytes, kept in the folder `temp`.
    ///
    /// # Errors
    /// Where it may not be asked for, or doesn't come.
    pub(super) fn get(&self, address: &str, temp: &Path, limit: u64) -> Result<Clip, Refusal> {
        let mut url = Url::parse(address).map_err(|e| Refusal::senseless(format!("{address}: {e}")))?;
        let name = file_name(url.path());
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            let response = request.send().map_err(|e| failed(&url, &e))?;
            if response.status().is_redirection() {
                let to = response.headers().get(LOCATION).and_then(|to| url.join(to.to_str().ok()?).ok());
                url = to.ok_or_else(|| Refusal::unusable(format!("{url}: redirects to nowhere")))?;
                continue;
            }
            if response.status() != 200 {
                return Err(Refusal::unusable(format!("{url}: answers {}", response.status())));
            }
            return Ok(Clip { name, file: keep(response, &url, temp, limit)? });
        }
        Err(Refusal::unusable(format!("{url}: redirects more than {REDIRECTS} times")))
    }

    /// Whether `url` may be asked. What a name leads to is looked at when it is resolved.
    fn check(&self, url: &Url) -> Result<(), Refusal> {
        let refuse = |reason: &str| Err(Refusal::new(StatusCode::FORBIDDEN, format!("{url}: {reason}")));
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return refuse("only http and https are asked");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("an address with a name and a password in it is not asked");
        }
        let host = host.to_ascii_lowercase();
        let allowed = match url.port() {
            None => self.hosts.contains(&host),
            Some(port) => self.hosts.contains(&format!("{host}:{port}")),
        };
        if !allowed {
            return refuse("this server doesn't ask that host: --allow-url HOST lets it");
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        match literal {
            Ok(ip) if !(self.may_ask)(ip) => refuse(PRIVATE),
            _ => Ok(()),
        }
    }
}

const PRIVATE: &str = "leads to an address that isn't public";

fn failed(url: &Url, error: &reqwest::Error) -> Refusal {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.to_string() {
        reason if reason == PRIVATE => Refusal::new(StatusCode::FORBIDDEN, format!("{url}: {PRIVATE}")),
        reason => Refusal::unusable(format!("{url}: can't be fetched: {reason}")),
    }
}

fn keep(mut response: Response, url: &Url, temp: &Path, limit: u64) -> Result<File, Refusal> {
    let mut file = tempfile::tempfile_in(temp).map_err(|e| lost(&e))?;
    let (mut block, mut size) = (vec![0; 64 << 10], 0);
    loop {
        let read = match response.read(&mut block) {
            Ok(0) => return Ok(file),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Refusal::unusable(format!("{url}: broke off: {e}"))),
        };
        size += read as u64;
        if size > limit {
            return Err(Refusal::too_large(limit));
        }
        file.write_all(&block[..read]).map_err(|e| lost(&e))?;
    }
}

/// Resolves names as the system does, to addresses that may be asked.
struct Public(Filter);

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let may_ask = self.0;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || (name, 0).to_socket_addrs()).await??;
            let found: Vec<SocketAddr> = found.filter(|address| may_ask(address.ip())).collect();
            match found.is_empty() {
                true => Err(PRIVATE.into()),
                false => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether an address is one of the public internet's (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && b & 0xfe == 18)
        || a >= 224;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    // Addresses that stand for one of the old kind: mapped, and behind the well-known prefix of translators.
    let [high, low] = [parts[6], parts[7]].map(u32::from);
    let inner = Ipv4Addr::from(high << 16 | low);
    if ip.to_ipv4_mapped().is_some() || parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(inner);
    }
    // What is given out to the world at all, less documentation and tunnels, which lead anywhere.
    let global = parts[0] & 0xe000 == 0x2000;
    let special = parts[0] == 0x2002
        || (parts[0] == 0x2001 && (parts[1] < 0x200 || parts[1] == 0xdb8))
        || parts[0] == 0x3fff;
    global && !special
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(5);

    #[test]
    fn private_addresses_are_known() {
        for ip in [
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "fec0::1",
            "64:ff9b::7f00:1",
            "::7f00:1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "192.1.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn nothing_private_and_nothing_else_than_allowed_is_asked() {
        let temp = std::env::temp_dir();
        let hosts = ["127.0.0.1", "localhost", "good.example", "[::1]", "169.254.169.254", "2130706433"];
        let fetch = Fetch::new(&hosts.map(String::from), SECOND).unwrap();
        for address in [
            "http://127.0.0.1/a.mp4",
            "http://localhost/a.mp4",
            "http://[::1]/a.mp4",
            "http://169.254.169.254/latest/meta-data",
            // One number, and octal ones: the same address.
            "http://2130706433/a.mp4",
            "http://0177.0.0.1/a.mp4",
            "http://good.example:22/a.mp4",
            "http://user:secret@good.example/a.mp4",
            "http://bad.example/a.mp4",
            "http://good.example.bad.example/a.mp4",
            "http://good.example@bad.example/a.mp4",
            "ftp://good.example/a.mp4",
            "file:///etc/passwd",
        ] {
            let refusal = fetch.get(address, &temp, 1 << 20).err().unwrap();
            assert_eq!(refusal.status, StatusCode::FORBIDDEN, "{address}: {}", refusal.reason);
        }
        for host in ["https://a.example", "a/b", "a@b", ""] {
            assert!(Fetch::new(&[host.into()], SECOND).is_err(), "{host}");
        }
    }

    /// A server that answers each request as `answer` says.
    fn server(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines().map_while(io::Result::ok);
                let line = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = (&stream).write_all(answer(line.split(' ').nth(1).unwrap_or_default()).as_bytes());
            }
        });
        port
    }

    #[test]
    fn a_clip_is_fetched_and_redirects_lead_nowhere_else() {
        let with = |status: &str, header: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{header}\r\n{body}",
                body.len()
            )
        };
        let port = server(move |path| match path {
            "/clip.mp4?x=1" => with("200 OK", "", "bytes"),
            "/near" => with("302 Found", "Location: /clip.mp4?x=1\r\n", ""),
            "/far" => with("302 Found", "Location: http://bad.example/\r\n", ""),
            "/inside" => with("302 Found", "Location: http://127.0.0.1/\r\n", ""),
            "/round" => with("302 Found", "Location: /round\r\n", ""),
            _ => with("404 Not Found", "", ""),
        });
        let fetch = Fetch::with(&[format!("localhost:{port}")], SECOND, |_| true).unwrap();
        let get = |path: &str, limit| {
            fetch.get(&format!("http://localhost:{port}{path}"), &std::env::temp_dir(), limit)
        };
        for path in ["/clip.mp4?x=1", "/near"] {
            let mut clip = get(path, 5).unwrap_or_else(|e| panic!("{}", e.reason));
            let mut text = String::new();
            io::Seek::rewind(&mut clip.file).unwrap();
            clip.file.read_to_string(&mut text).unwrap();
            assert_eq!(
                (text.as_str(), clip.name.to_str()),
                ("bytes", Some(path.trim_matches('/').split('?').next().unwrap()))
            );
        }
        let status = |path: &str, limit| get(path, limit).err().unwrap().status.as_u16();
        assert_eq!(status("/clip.mp4?x=1", 4), 413);
        assert_eq!(
            [status("/far", 9), status("/inside", 9), status("/round", 9), status("/none", 9)],
            [403, 403, 422, 422]
        );
    }
}
