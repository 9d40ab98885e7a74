// SPDX-License-Identifier: GPL-2.0

//! Whose a queue is, against a model of a device whose driver does what it likes.

use netmap_logic::logic::owner::{Owner, QueueState};
use proptest::prelude::*;

/// A device with one queue, and what its driver takes to be its state.
#[derive(Clone, Copy, Debug)]
struct Device {
    answers: bool,
    attached: bool,
    carrier: bool,
    /// The bus passes what the driver writes.
    reachable: bool,
    base: Base,
    is_on: bool,
    /// The driver has the device open, as it believes.
    open: bool,
    /// Which ring the driver has: each new one, and each new start in one, has its own number.
    ring: u32,
    /// A reset leaves the address where it is.
    keeps_base: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    None,
    Ours,
    Driver,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The driver stops the device; it may free its rings, too.
    Down,
    Up,
    /// The cable.
    Link(bool),
    /// An error on the bus: the driver detaches the device, and goes on with the others.
    Error {
        cut: bool,
    },
    /// The slot's reset, after which the driver resets the device.
    SlotReset,
    /// A reset of the function of which the driver does not know.
    FunctionReset,
    /// The card is pulled.
    Pulled,
}

impl Device {
    /// Just taken.
    fn taken(keeps_base: bool, carrier: bool) -> Self {
        Self {
            answers: true,
            attached: true,
            carrier,
            reachable: true,
            base: Base::Ours,
            is_on: true,
            open: true,
            ring: 0,
            keeps_base,
        }
    }

    fn reset(&mut self) {
        self.is_on = false;
        if !self.keeps_base {
            self.base = Base::None;
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Down if self.open => {
                self.carrier = false;
                if self.reachable {
                    self.reset();
                }
                self.open = false;
                // Where it stands in an old ring is as little known as where a new one is.
                self.ring += 1;
            }
            Event::Up if !self.open && self.reachable => {
                self.base = Base::Driver;
                self.is_on = true;
                self.open = true;
                self.attached = true;
            }
            Event::Link(up) if self.open && self.attached && self.reachable => {
                self.carrier = up;
            }
            Event::Error { cut } if self.attached => {
                self.attached = false;
                self.reachable = !cut;
                self.happens(Event::Down);
            }
            Event::SlotReset if !self.attached => {
                self.reachable = true;
                self.reset();
            }
            Event::FunctionReset if self.attached => self.reset(),
            Event::Pulled => self.answers = false,
            _ => (),
        }
    }

    fn seen(&self) -> QueueState {
        QueueState {
            answers: self.answers,
            attached: self.attached,
            carrier: self.carrier,
            has_ours: self.base == Base::Ours,
            is_on: self.is_on,
        }
    }
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Down),
        Just(Event::Up),
        any::<bool>().prop_map(Event::Link),
        any::<bool>().prop_map(|cut| Event::Error { cut }),
        Just(Event::SlotReset),
        Just(Event::FunctionReset),
        Just(Event::Pulled),
    ]
}

proptest! {
    /// Whatever has happened: the driver's ring is written only if it is the one that was there when the queue was taken,
    /// the driver is restarted only if it has the device open, and no queue goes on with our ring that is left alone.
    #[test]
    fn nothing_stale_is_written(
        keeps_base: bool, carrier: bool, events in prop::collection::vec(events(), 0..12)
    ) {
        let mut device = Device::taken(keeps_base, carrier);
        for event in events {
            device.happens(event);
            match device.seen().owner() {
                Owner::Netmap => {
                    prop_assert_eq!(device.ring, 0, "{:?}", device);
                    prop_assert!(device.open && device.attached);
                }
                Owner::Driver => prop_assert!(
                    !(device.base == Base::Ours && device.is_on), "{:?}", device
                ),
                Owner::Stopping => prop_assert!(!device.attached),
                Owner::Nobody => prop_assert!(device.open && device.attached, "{:?}", device),
                Owner::Gone => prop_assert!(!device.answers),
            }
        }
    }

    /// As long as nothing has happened but the link, it is ours.
    #[test]
    fn ours_stays_ours(links in prop::collection::vec(any::<bool>(), 0..8)) {
        let mut device = Device::taken(true, true);
        for up in links {
            device.happens(Event::Link(up));
            prop_assert_eq!(device.seen().owner(), Owner::Netmap);
        }
    }
}

#[test]
fn a_driver_that_has_opened_again_has_its_queue() {
    let mut device = Device::taken(true, true);
    device.happens(Event::Down);
    assert_eq!(device.seen().owner(), Owner::Driver);
    device.happens(Event::Up);
    assert_eq!(device.seen().owner(), Owner::Driver);
    device.happens(Event::Link(true));
    assert_eq!(device.seen().owner(), Owner::Driver);
}

#[test]
fn an_error_on_the_bus_leaves_our_ring_to_be_stopped() {
    let mut device = Device::taken(true, true);
    device.happens(Event::Error { cut: true });
    assert_eq!(device.seen().owner(), Owner::Stopping);
    device.happens(Event::SlotReset);
    assert_eq!(device.seen().owner(), Owner::Driver);
}

#[test]
fn a_reset_that_the_driver_does_not_know_of_is_seen() {
    for keeps_base in [false, true] {
        let mut device = Device::taken(keeps_base, true);
        device.happens(Event::FunctionReset);
        assert_eq!(device.seen().owner(), Owner::Nobody);
    }
}
