//! SOCKS proxies, and HTTP proxies that are asked for a tunnel.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{hub, pull};

/// A proxy that speaks SOCKS and HTTP CONNECT, leads every request to the address `to`, and remembers what it was
/// asked.
struct Tunnel {
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (log, to) = (
            Arc::clone(&told),
            to.trim_start_matches("http://").to_owned(),
        );
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, to) = (Arc::clone(&log), to.clone());
                std::thread::spawn(move || lead(stream, &to, &log));
            }
        });
        Tunnel { port, told }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// Serves one client of a [`Tunnel`]; the first byte tells its protocol.
fn lead(mut client: TcpStream, to: &str, log: &Mutex<Vec<String>>) -> Option<()> {
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let until = |end: &[u8], client: &mut TcpStream| {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            all.extend(read(client, 1)?);
        }
        all.truncate(all.len() - end.len());
        Some(all)
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first = read(&mut client, 1)?[0];
    let mut said = match first {
        5 => "socks5 ".to_owned(),
        4 => "socks4 ".to_owned(),
        _ => "http ".to_owned(),
    };
    match first {
        5 => {
            let count = read(&mut client, 1)?[0];
            let methods = read(&mut client, count.into())?;
            if methods.contains(&2) {
                client.write_all(&[5, 2]).ok()?;
                let user = read(&mut client, 2)?[1];
                said += &text(&read(&mut client, user.into())?);
                let word = read(&mut client, 1)?[0];
                said += ":";
                said += &text(&read(&mut client, word.into())?);
                said += "@";
                client.write_all(&[1, 0]).ok()?;
            } else {
                client.write_all(&[5, 0]).ok()?;
            }
            let kind = read(&mut client, 4)?[3];
            said += &match kind {
                1 => {
                    let ip = read(&mut client, 4)?;
                    format!("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3])
                }
                3 => {
                    let length = read(&mut client, 1)?[0];
                    text(&read(&mut client, length.into())?)
                }
                _ => "IPv6".to_owned(),
            };
            read(&mut client, 2)?;
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        }
        4 => {
            let head = read(&mut client, 7)?;
            until(&[0], &mut client)?;
            said += &match head[3..] {
                [0, 0, 0, 1] => text(&until(&[0], &mut client)?),
                _ => format!("{}.{}.{}.{}", head[3], head[4], head[5], head[6]),
            };
            client.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).ok()?;
        }
        _ => {
            let head = until(b"\r\n\r\n", &mut client)?;
            said += &format!("{}{}", char::from(first), text(&head).lines().next()?);
            log.lock().unwrap().push(said);
            // What it would carry on is TLS, which this test cannot answer.
            client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                .ok()?;
            return Some(());
        }
    }
    log.lock().unwrap().push(said);
    let server = TcpStream::connect(to).ok()?;
    let (mut from, mut into) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut into));
    let (mut from, mut into) = (server, client);
    std::io::copy(&mut from, &mut into).ok()?;
    let _ = into.shutdown(std::net::Shutdown::Both);
    Some(())
}

/// Reads `count` bytes.
fn read(client: &mut TcpStream, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes).ok().map(|()| bytes)
}

#[test]
fn every_kind_of_socks_leads_to_the_hub() {
    let hub = hub();
    let tunnel = Tunnel::start(&hub.url());
    // Names that only a proxy can look up, and one that is looked up here.
    for (index, (scheme, host, told)) in [
        ("socks5h", "hub.invalid", "socks5 hub.invalid"),
        ("socks5", "127.0.0.9", "socks5 127.0.0.9"),
        ("socks4a", "hub.invalid", "socks4 hub.invalid"),
        ("socks4", "127.0.0.9", "socks4 127.0.0.9"),
        (
            "socks5h://ada:p%40%3Ass",
            "hub.invalid",
            "socks5 ada:p@:ss@hub.invalid",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let home = tempfile::tempdir().unwrap();
        let (scheme, user) = scheme.split_once("://").unwrap_or((scheme, ""));
        let at = if user.is_empty() { "" } else { "@" };
        let proxy = format!("{scheme}://{user}{at}127.0.0.1:{}", tunnel.port);
        let name = ["ALL_PROXY", "all_proxy"][index % 2];
        let done = pull(home.path(), &format!("http://{host}"), &[(name, &proxy)]);
        assert_eq!(done.code(), 0, "{proxy}: {}", done.stderr);
        assert_eq!(tunnel.told().last().unwrap(), told, "{proxy}");
    }
    assert_eq!(hub.requests().len(), 5);
}

#[test]
fn https_asks_an_http_proxy_for_a_tunnel() {
    let home = tempfile::tempdir().unwrap();
    let tunnel = Tunnel::start("");
    let proxy = format!("127.0.0.1:{}", tunnel.port);
    let done = pull(
        home.path(),
        "https://hub.invalid",
        &[("HTTPS_PROXY", &proxy)],
    );
    assert_eq!(done.code(), 1);
    assert_eq!(tunnel.told(), ["http CONNECT hub.invalid:443 HTTP/1.1"]);
    let way =
        format!("hub.invalid, through the proxy http://{proxy} (HTTPS_PROXY), cannot be reached");
    assert!(
        done.stderr.contains(&way) && done.stderr.contains("502"),
        "{}",
        done.stderr
    );
}
