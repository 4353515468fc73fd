//! One head with a copy on every device that has a backbone.

use candle_core::DeviceLocation;

use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, Features};
use crate::model::head::Head;

/// A head, and its copies on the devices that features come from.
pub struct DeviceHeads {
    /// The head as it was loaded.
    loaded: Head,
    copies: Vec<(DeviceLocation, Head)>,
}

impl From<Head> for DeviceHeads {
    /// A head without copies, for features of no device yet.
    fn from(own: Head) -> Self {
        DeviceHeads {
            loaded: own,
            copies: Vec::new(),
        }
    }
}

impl DeviceHeads {
    /// `head` with a copy on the device of each of `backbones`.
    ///
    /// # Errors
    /// If a device fails, or has no memory for it.
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

    /// The head as it was loaded, for its record and its digest.
    pub fn loaded(&self) -> &Head {
        &self.loaded
    }

    /// The copy on the device of `features`.
    ///
    /// # Errors
    /// If that device has no copy.
    pub fn on_device_of(&self, features: &Features) -> Result<&Head> {
        let Some(layer) = features.layers.first() else {
            // Features without layers; the head refuses them with a message of its own.
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
