//! A head beside every backbone of a run.

use candle_core::DeviceLocation;

use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, Features};
use crate::model::head::Head;

/// A head, on each device that features come from.
pub struct DeviceHeads {
    /// As it was loaded.
    loaded: Head,
    copies: Vec<(DeviceLocation, Head)>,
}

impl From<Head> for DeviceHeads {
    /// On no device yet.
    fn from(own: Head) -> Self {
        DeviceHeads {
            loaded: own,
            copies: Vec::new(),
        }
    }
}

impl DeviceHeads {
    /// `head` on the devices of `backbones`.
    ///
    /// # Errors
    /// If one of them has no memory for it, or fails.
    pub fn on_devices_of(head: &Head, backbones: &[Backbone]) -> Result<Self> {
        let copies = backbones.iter().map(|backbone| {
            let device = backbone.device();
            Ok((device.location(), head.clone().to_device(device)?))
        });
        Ok(DeviceHeads {
            loaded: head.clone(),
            copies: copies.collect::<Result<_>>()?,
        })
    }

    /// For what is the same on all devices.
    pub fn loaded(&self) -> &Head {
        &self.loaded
    }

    /// The one on the device of `features`.
    ///
    /// # Errors
    /// If there is none.
    pub fn on_device_of(&self, features: &Features) -> Result<&Head> {
        let Some(layer) = features.layers.first() else {
            // Which the head says in its own words.
            return Ok(&self.loaded);
        };
        let location = layer.patch_tokens.device().location();
        let copy = self.copies.iter().find(|(at, _)| *at == location);
        copy.map(|(_, head)| head).ok_or_else(|| {
            Error::Model(format!(
                "the head {} is not on the device of the features",
                self.loaded.meta.name
            ))
        })
    }
}
