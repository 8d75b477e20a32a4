use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use sonnette_core::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

fn whole(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into()).boxed()).unwrap()
}

/// A receiver on loopback: its URL, and how many connections it has taken.
async fn receiver<F>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let (listener, url) = listen().await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, connections)
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=k", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads one request with a body of two bytes.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        let mut chunk = [0; 1024];
        let n = stream.read(&mut chunk).await.unwrap();
        assert_ne!(n, 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8(read).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn outgoing(url: &str) -> Outgoing {
    Outgoing {
        method: Method::POST,
        url: Secret::new(url),
        headers: vec![(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body: Bytes::from_static(b"{}"),
    }
}

fn open() -> Poster {
    Poster::new(Guard { allow_private: true, ..Guard::default() }).unwrap()
}

/// With a resolver that says what the test wants.
struct Answers(Vec<IpAddr>);

#[async_trait]
impl Lookup for Answers {
    async fn lookup(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_request_goes_out_as_given_and_the_reply_comes_back() {
    let (url, _) = receiver(|request| async move {
        let (head, body) = request.into_parts();
        assert_eq!(head.method, Method::POST);
        assert_eq!(head.uri, "/hook?key=k");
        assert_eq!(head.headers["user-agent"], concat!("Sonnette/", env!("CARGO_PKG_VERSION")));
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["content-length"], "2");
        assert!(!head.headers.contains_key("accept-encoding"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "{}");
        let mut answer = whole(429, "slow down");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("7"));
        answer
    })
    .await;
    let reply = open().post(&outgoing(&url)).await.unwrap();
    assert_eq!(
        reply,
        Reply {
            status: 429,
            retry_after: Some("7".to_owned()),
            body: Bytes::from("slow down"),
            renewed: false
        }
    );
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (url, connections) = receiver(|_| async { whole(200, "ok") }).await;
    let poster = open();
    for _ in 0..50 {
        assert_eq!(poster.post(&outgoing(&url)).await.unwrap().status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(poster.idle.count(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (secret, visits) = receiver(|_| async { whole(200, "inside") }).await;
    let (url, _) = receiver(move |_| {
        let mut answer = whole(302, "");
        answer.headers_mut().insert("location", HeaderValue::try_from(&secret).unwrap());
        async { answer }
    })
    .await;
    assert_eq!(open().post(&outgoing(&url)).await.unwrap().status, 302);
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_a_reply_without_end_64_kib_are_read_and_the_connection_is_dropped() {
    let (url, _) = receiver(|_| async {
        let endless =
            futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1000]))));
        Response::new(StreamBody::new(endless).boxed())
    })
    .await;
    let poster = open();
    let reply = poster.post(&outgoing(&url)).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 64 * 1024));
    assert_eq!(poster.idle.count(), 0);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let (listener, url) = listen().await;
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
        while stream.write_all(&[b'x'; 1000]).await.is_ok() {}
    });
    let error = open().post(&outgoing(&url)).await.unwrap_err();
    assert_eq!(error, SendError::Network("the head of the reply is too long".to_owned()));
    peer.await.unwrap();
}

#[tokio::test]
async fn a_reply_that_does_not_come_in_time_is_not_waited_for() {
    let limits = Limits { total: Duration::from_millis(50), ..Limits::default() };
    let poster = Poster::with_limits(Guard { allow_private: true, ..Guard::default() }, limits).unwrap();
    let (silent, _) = receiver(|_| std::future::pending()).await;
    assert_eq!(poster.post(&outgoing(&silent)).await, Err(SendError::Timeout(0)));
    let (hanging, _) =
        receiver(|_| async { Response::new(StreamBody::new(futures_util::stream::pending()).boxed()) }).await;
    assert_eq!(poster.post(&outgoing(&hanging)).await, Err(SendError::Timeout(0)));
    assert_eq!(poster.idle.count(), 0);
}

#[tokio::test]
async fn a_kept_connection_closed_without_a_reply_is_replaced_once() {
    let (listener, url) = listen().await;
    let peer = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        read_request(&mut first).await;
        first.write_all(OK).await.unwrap();
        read_request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        read_request(&mut second).await;
        second.write_all(OK).await.unwrap();
        read_request(&mut second).await;
        drop(second);
        let (mut third, _) = listener.accept().await.unwrap();
        read_request(&mut third).await;
        drop(third);
    });
    let poster = open();
    let first = poster.post(&outgoing(&url)).await.unwrap();
    assert_eq!((first.status, first.renewed), (200, false));
    let second = poster.post(&outgoing(&url)).await.unwrap();
    assert_eq!(
        (second.status, second.renewed),
        (200, true),
        "it is known that the receiver may have heard it twice"
    );
    let closed = SendError::Network(
        "the connection was closed before a reply; a kept connection had been found closed before".to_owned(),
    );
    assert_eq!(poster.post(&outgoing(&url)).await, Err(closed), "a new connection is not replaced");
    peer.await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_half_answered_is_not_sent_twice() {
    let (listener, url) = listen().await;
    let peer = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        read_request(&mut first).await;
        first.write_all(OK).await.unwrap();
        read_request(&mut first).await;
        first.write_all(b"HTTP/1.1 200 OK\r\nconte").await.unwrap();
        drop(first);
        listener
    });
    let poster = open();
    assert_eq!(poster.post(&outgoing(&url)).await.unwrap().status, 200);
    let error = poster.post(&outgoing(&url)).await.unwrap_err();
    assert_eq!(error, SendError::Network("the connection was closed in the middle of the reply".to_owned()));
    let listener = peer.await.unwrap().into_std().unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody came again");
}

#[tokio::test]
async fn a_reply_that_breaks_off_or_is_no_http_is_no_reply() {
    for (said, words) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"[..], "the reply broke off"),
        (b"220 mail.example.org ESMTP\r\n", "the reply is not HTTP"),
    ] {
        let (listener, url) = listen().await;
        let peer = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(said).await.unwrap();
        });
        assert_eq!(open().post(&outgoing(&url)).await, Err(SendError::Network(words.to_owned())));
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn this_machine_is_refused_unless_allowed() {
    let (url, connections) = receiver(|_| async { whole(200, "ok") }).await;
    let poster = Poster::new(Guard::default()).unwrap();
    let Err(SendError::Forbidden(words)) = poster.post(&outgoing(&url)).await else { panic!() };
    assert!(words.contains("delivery.allow_private") && !words.contains("key"), "{words}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let listed = Guard { allow: vec!["127.0.0.1/32".parse().unwrap()], ..Guard::default() };
    assert_eq!(Poster::new(listed).unwrap().post(&outgoing(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_service_that_has_closed_is_never_dialled_unless_allowed() {
    let (url, connections) = receiver(|_| async { whole(200, "{}") }).await;
    let url = url.replace("127.0.0.1", "api.flowdock.com");
    let guard = Guard { allow_private: true, ..Guard::default() };
    let mut poster = Poster::new(guard.clone()).unwrap();
    poster.lookup = Box::new(Answers(vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(poster.post(&outgoing(&url)).await, Err(SendError::Closed("flowdock")));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let mut poster = Poster::new(Guard { allow_closed: vec!["flowdock".into()], ..guard }).unwrap();
    poster.lookup = Box::new(Answers(vec!["127.0.0.1".parse().unwrap()]));
    assert_eq!(poster.post(&outgoing(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_is_judged_by_all_the_addresses_it_has() {
    let (url, connections) = receiver(|_| async { whole(200, "ok") }).await;
    let url = url.replace("127.0.0.1", "receiver.example.org");
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let mut poster = Poster::new(Guard::default()).unwrap();
    for answers in [vec![loopback], vec!["93.184.216.34".parse().unwrap(), loopback]] {
        poster.lookup = Box::new(Answers(answers));
        let Err(SendError::Forbidden(words)) = poster.post(&outgoing(&url)).await else { panic!() };
        assert!(
            words.starts_with("receiver.example.org may not be called: 127.0.0.1 is this machine"),
            "{words}"
        );
    }
    poster.lookup = Box::new(Answers(Vec::new()));
    assert!(matches!(poster.post(&outgoing(&url)).await, Err(SendError::Network(_))));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    let mut allowed = open();
    allowed.lookup = Box::new(Answers(vec![loopback]));
    assert_eq!(allowed.post(&outgoing(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_name_of_this_machine_resolves_and_is_judged_where_something_private_is_allowed() {
    let (url, connections) = receiver(|_| async { whole(200, "ok") }).await;
    let url = url.replace("127.0.0.1", "localhost");
    let elsewhere = Guard { allow: vec!["10.0.0.0/8".parse().unwrap()], ..Guard::default() };
    let outcome = Poster::new(elsewhere).unwrap().post(&outgoing(&url)).await;
    assert!(matches!(outcome, Err(SendError::Forbidden(_))), "{outcome:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
    assert_eq!(open().post(&outgoing(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let (url, _) = receiver(|_| async { whole(200, "ok") }).await;
    let url = url.replace("127.0.0.1", "receiver.example.org");
    let mut poster = open();
    poster.lookup = Box::new(Answers(vec!["127.0.0.9".parse().unwrap(), "127.0.0.1".parse().unwrap()]));
    assert_eq!(poster.post(&outgoing(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn words_about_a_failure_hold_the_host_and_nothing_that_may_be_secret() {
    let (listener, url) = listen().await;
    drop(listener);
    let poster = open();
    let refused = poster.post(&outgoing(&url)).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("cannot connect to 127.0.0.1:") && refused.ends_with("connection refused"),
        "{refused}"
    );
    let (plain, _) = receiver(|_| async { whole(200, "ok") }).await;
    let tls = poster.post(&outgoing(&plain.replace("http:", "https:"))).await.unwrap_err().to_string();
    assert!(tls.starts_with("TLS with 127.0.0.1:"), "{tls}");
    for words in [refused, tls, format!("{poster:?}")] {
        assert!(!words.contains("hook") && !words.contains("key="), "{words}");
    }
}

#[tokio::test]
async fn many_at_once_each_get_their_own_reply() {
    let (url, connections) = receiver(|request: Request<Incoming>| async {
        whole(200, request.into_body().collect().await.unwrap().to_bytes())
    })
    .await;
    let poster = Arc::new(open());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64_u32 {
        let (poster, mut request) = (Arc::clone(&poster), outgoing(&url));
        tasks.spawn(async move {
            for round in 0..20 {
                request.body = Bytes::from(format!("{task} {round}"));
                assert_eq!(poster.post(&request).await.unwrap().body, request.body);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(connections.load(Ordering::SeqCst) <= 64);
    assert_eq!(poster.idle.count(), connections.load(Ordering::SeqCst));
}
