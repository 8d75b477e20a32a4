//! One HTTP/1.1 connection that is kept, driven by the task that uses it: no second task to wake for each exchange.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Driver = Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection.
#[derive(Debug)]
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the other side has closed.
    driver: Option<Pin<Box<Driver>>>,
}

/// A reply, whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Sends a request and reads the reply to its end. After an error the connection is of no more use.
    ///
    /// # Errors
    /// If the connection broke before the reply was whole.
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let sender = &mut self.sender;
        let exchange = async {
            sender.ready().await?;
            let reply = sender.send_request(request).await?;
            let (head, body) = reply.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let mut exchange = pin!(exchange);
        if let Some(driver) = &mut self.driver {
            tokio::select! {
                biased;
                answer = &mut exchange => return Ok(answer?),
                _ended = driver => {}
            }
            // The other side closed; the reply may be here all the same.
            self.driver = None;
        }
        Ok(exchange.await?)
    }

    /// Whether the other side has closed it. Looks without waiting.
    pub async fn is_closed(&mut self) -> bool {
        let Some(driver) = &mut self.driver else { return true };
        let look = poll_fn(|context| Poll::Ready(driver.as_mut().poll(context).is_ready()));
        if look.await {
            self.driver = None;
        }
        self.driver.is_none()
    }
}
