//! A head beside every backbone of a run.

use candle_core::DeviceLocation;

use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, Features};
use crate::model::head::Head;

/// A head, on each device that features come from.
pub struct PlacedHead {
    /// As it was loaded.
    own: Head,
    copies: Vec<(DeviceLocation, Head)>,
}

impl From<Head> for PlacedHead {
    /// On no device yet.
    fn from(own: Head) -> Self {
        PlacedHead {
            own,
            copies: Vec::new(),
        }
    }
}

impl PlacedHead {
    /// `head` on the devices of `backbones`.
    ///
    /// # Errors
    /// If one of them has no memory for it, or fails.
    pub fn beside(head: &Head, backbones: &[Backbone]) -> Result<Self> {
        let copies = backbones.iter().map(|backbone| {
            let device = backbone.device();
            Ok((device.location(), head.clone().to_device(device)?))
        });
        Ok(PlacedHead {
            own: head.clone(),
            copies: copies.collect::<Result<_>>()?,
        })
    }

    /// For what is the same on all devices.
    pub fn any(&self) -> &Head {
        &self.own
    }

    /// The one on the device of `features`.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(&self, features: &Features) -> Result<&Head> {
        let Some(layer) = features.layers.first() else {
            // Which the head says in its own words.
            return Ok(&self.own);
        };
        let location = layer.patch_tokens.device().location();
        let copy = self.copies.iter().find(|(at, _)| *at == location);
        copy.map(|(_, head)| head).ok_or_else(|| {
            Error::Model(format!(
                "the head {} is not on the device of the features",
                self.own.meta.name
            ))
        })
    }
}
