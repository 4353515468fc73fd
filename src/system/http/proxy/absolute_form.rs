//! Plain HTTP through an HTTP proxy: the request line has the absolute form, the whole URL, as RFC 9112 (3.2.2)
//! requires and curl does.
//!
//! ureq opens a tunnel for plain HTTP too, which many proxies allow for port 443 alone. So the request is made as if
//! the proxy were the server, and this transport inserts the server into the request line as it is sent.

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Connector that inserts `http://HOST` before the path of each request.
#[derive(Debug)]
pub struct AbsoluteFormConnector {
    /// `http://HOST:PORT` of the server behind the proxy.
    pub server: String,
}

impl<In: Transport> Connector<In> for AbsoluteFormConnector {
    type Out = AbsoluteFormTransport<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|to_proxy| AbsoluteFormTransport {
            to_proxy,
            server: self.server.clone(),
            has_sent_head: false,
        }))
    }
}

/// A connection to a proxy, used for one request.
#[derive(Debug)]
pub struct AbsoluteFormTransport<In> {
    to_proxy: In,
    server: String,
    has_sent_head: bool,
}

impl<In: Transport> Transport for AbsoluteFormTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.to_proxy.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if std::mem::replace(&mut self.has_sent_head, true) {
            return self.to_proxy.transmit_output(amount, timeout);
        }
        let head = &self.to_proxy.buffers().output()[..amount];
        let method = head.iter().take_while(|byte| **byte != b' ').count() + 1;
        let (method, rest) = head.split_at(method.min(amount));
        let whole = [method, self.server.as_bytes(), rest].concat();
        let room = self.to_proxy.buffers().output().len().max(1);
        for piece in whole.chunks(room) {
            self.to_proxy.buffers().output()[..piece.len()].copy_from_slice(piece);
            self.to_proxy.transmit_output(piece.len(), timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.to_proxy.await_input(timeout)
    }

    fn is_tls(&self) -> bool {
        self.to_proxy.is_tls()
    }

    /// Always closed, so that the connection is not reused: each request line has to be rewritten.
    fn is_open(&mut self) -> bool {
        false
    }
}
