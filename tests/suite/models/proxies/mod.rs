//! Downloads through proxies on this machine: what the proxies are asked, and that no request bypasses them.

mod http;
mod tunnels;
mod unusable;

use std::path::Path;
use std::sync::Arc;

use super::fixtures::{self, NAME};
use super::server::{Reply, Server};
use super::{dino, run};
use crate::program::Run;

/// The path of the model's file on the hub.
const FILE: &str = "/facebook/dino-vits16/resolve/main/model.safetensors";

/// A hub that has the model.
fn hub() -> Server {
    let body = Arc::new(fixtures::safetensors(fixtures::canonical()));
    Server::start(move |request, _| match request.path.ends_with(FILE) {
        true => Reply::file(request, &body),
        false => Reply::status(404),
    })
}

/// Pulls the model from `endpoint` with these environment variables.
fn pull(home: &Path, endpoint: &str, variables: &[(&str, &str)]) -> Run {
    run(dino(home)
        .args(["models", "pull", NAME])
        .env("HF_ENDPOINT", endpoint)
        .env("DINO_HTTP_TIMEOUT", "5")
        .envs(variables.iter().copied()))
}
