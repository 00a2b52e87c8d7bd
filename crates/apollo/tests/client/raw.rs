//! A server that answers every call with bytes of the test's making, well-formed or not.
//! Leaves out everything that a correct server does with a request.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// How a response ends after its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// With status OK.
    Properly,
    /// Never: nothing more comes.
    Stalled,
    /// Never: the bytes come again and again.
    Endless,
}

#[derive(Clone)]
struct Raw {
    bytes: Bytes,
    end: End,
}

/// Starts a server that answers with `bytes`.
pub(crate) async fn start(bytes: impl Into<Bytes>, end: End) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Raw { bytes: bytes.into(), end };
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// A message as gRPC frames it: not compressed, its length, itself.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

impl Raw {
    fn frames(&self) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + use<> {
        let data = Ok(Frame::data(self.bytes.clone()));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        match self.end {
            End::Properly => stream::iter([data, Ok(Frame::trailers(trailers))]).boxed(),
            End::Stalled => stream::iter([data]).chain(stream::pending()).boxed(),
            End::Endless => {
                let bytes = self.bytes.clone();
                stream::repeat_with(move || Ok(Frame::data(bytes.clone()))).boxed()
            }
        }
    }
}

impl tower::Service<Request<Body>> for Raw {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::new(StreamBody::new(self.frames())));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        ready(Ok(response))
    }
}

impl NamedService for Raw {
    const NAME: &'static str = "apollo.SchedulingPolicyService";
}
