//! A device: what it does with a batch, and how it takes one after the other where there are several.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};

use crate::error::{Error, Result};
use crate::model::device::is_out_of_memory;

use super::at_once::{AtOnce, advise};
use super::decode::Ready;
use super::flow::Event;
use super::network::Network;

/// A device.
pub(super) struct Lane<'l, N> {
    /// What runs on it.
    pub network: &'l N,
    /// How much it has memory for.
    pub at_once: &'l AtOnce,
}

impl<N: Network> Lane<'_, N> {
    /// Computes the `batches` that come to the lane of this `number`, until no more do.
    pub fn serve<T>(
        &self,
        number: usize,
        batches: Receiver<Vec<Ready>>,
        sender: &Sender<Event<T, N::Found>>,
    ) {
        for photos in batches {
            let event = match catch_unwind(AssertUnwindSafe(|| self.compute(photos))) {
                Ok(computed) => Event::Computed(number, computed),
                Err(fault) => Event::Panicked(fault),
            };
            // Whoever does not listen any more sends nothing either.
            let _ = sender.send(event);
        }
    }

    /// What the network finds in each of `photos`, of which no more run together than the device has memory for.
    pub fn compute(&self, mut photos: Vec<Ready>) -> Vec<(Ready, Result<N::Found>)> {
        let Lane { network, at_once } = self;
        let run = |photos: &mut [Ready]| {
            let found = network.run(photos)?;
            match found.len() == photos.len() {
                true => Ok(found.into_iter().map(Ok).collect()),
                false => Err(Error::Model("photos were lost in the network".into())),
            }
        };
        let alone = |photo: &mut [Ready]| {
            run(photo).unwrap_or_else(|error| vec![Err(advise(error, &network.device()))])
        };
        let found = at_once.in_parts(photos.len(), |part| {
            let photos = &mut photos[part];
            match photos.len() {
                1 => Ok(alone(photos)),
                _ => match run(photos) {
                    Err(error) if !is_out_of_memory(&error) => {
                        // One of them may be at fault, and does not take the others with it.
                        Ok(photos.chunks_mut(1).flat_map(alone).collect())
                    }
                    found => found,
                },
            }
        });
        // Whatever fails is one photo's own.
        photos
            .into_iter()
            .zip(found.into_iter().flatten())
            .collect()
    }
}
