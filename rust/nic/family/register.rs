// SPDX-License-Identifier: GPL-2.0

//! Registers of a NIC that a stock driver runs, through a mapping of our own.
//!
//! Types decide what may be written, and when. A [`Block`], the registers of one queue, can be read, and its tail written.
//! Base, length and modes can be written through a [`Stopped`] alone, which only the stop of the queue gives. A head cannot
//! be written at all but to be set to zero.

use super::enable::Enable;
use crate::{
    bindings,
    prelude::*,
    ring::queue::Direction,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::bindings as kernel_bindings;

/// A register that may be read and written: its offset in BAR 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Reg(u32);

impl Reg {
    /// Device status.
    pub const STATUS: Reg = Reg(0x0008);
    /// Which interrupt is whose, on the 82574.
    pub const IVAR: Reg = Reg(0x00e4);
    /// Receive control.
    pub const RCTL: Reg = Reg(0x0100);
    /// Transmit control.
    pub const TCTL: Reg = Reg(0x0400);
    /// Receive delay timer; on the 8257x also its flush.
    pub const RDTR: Reg = Reg(0x2820);
    /// Transmit delay timer; on the 8257x also its flush.
    pub const TIDV: Reg = Reg(0x3820);
    /// MAC control of the 10 Gbit/s controllers.
    pub const HLREG0: Reg = Reg(0x4240);
    /// Receive control of the 10 Gbit/s controllers.
    pub const RXCTRL: Reg = Reg(0x3000);
    /// Control of reception in the 10 Gbit/s controllers.
    pub const RDRXCTL: Reg = Reg(0x2f00);
    /// Control of transmission in the 10 Gbit/s controllers.
    pub const DMATXCTL: Reg = Reg(0x4a80);
    /// How a receive queue is chosen, in all that have several.
    pub const MRQC: Reg = Reg(0x5818);
    /// How the transmit queues of the 10 Gbit/s controllers are divided.
    pub const MTQC: Reg = Reg(0x8120);
}

/// Receive control: the receiver is on.
pub const RCTL_EN: u32 = 1 << 1;
/// Receive control: descriptor type; anything but 0 splits packets.
pub const RCTL_DTYP: u32 = 3 << 10;
/// Receive control: the FCS is not stored.
pub const RCTL_SECRC: u32 = 1 << 26;
/// Transmit control: the transmitter is on.
pub const TCTL_EN: u32 = 1 << 1;

/// BAR 0 of a NIC, mapped beside the driver's own mapping.
///
/// # Invariants
///
/// `base` is a mapping of `len` bytes, at least [`Mmio::MIN`].
struct Mmio {
    base: NonNull<c_void>,
    len: usize,
}

impl Mmio {
    /// All registers that we know lie below.
    const MIN: usize = 0x10000;

    fn map(pdev: NonNull<bindings::pci_dev>) -> Result<Self> {
        // SAFETY: The caller's device is valid.
        let (start, len) = unsafe {
            (
                bindings::netmap_bar_start(pdev.as_ptr()),
                bindings::netmap_bar_len(pdev.as_ptr()),
            )
        };
        if start == 0 || len < Self::MIN {
            return Err(ENODEV);
        }
        // SAFETY: The range is a memory BAR of a device that is in use, and a second mapping of the same type.
        let base = unsafe { kernel_bindings::ioremap(start, Self::MIN) };
        // INVARIANT: Just mapped.
        Ok(Self {
            base: NonNull::new(base.cast()).ok_or(ENOMEM)?,
            len: Self::MIN,
        })
    }

    #[inline]
    fn at(&self, offset: u32) -> *mut c_void {
        debug_assert!((offset as usize) < self.len);
        self.base.as_ptr().wrapping_byte_add(offset as usize)
    }

    #[inline]
    fn read(&self, offset: u32) -> u32 {
        // SAFETY: All offsets come from this file and from `Block`s, and are multiples of 4 below `MIN`.
        unsafe { kernel_bindings::readl(self.at(offset).cast()) }
    }

    #[inline]
    fn write(&self, offset: u32, value: u32) {
        // SAFETY: As above. Whether the write is right for the device is decided by the callers, which name the register.
        unsafe { kernel_bindings::writel(value, self.at(offset).cast()) }
    }
}

impl Drop for Mmio {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours by the type's invariant.
        unsafe { kernel_bindings::iounmap(self.base.as_ptr().cast()) };
    }
}

// SAFETY: Registers may be accessed from any thread.
unsafe impl Send for Mmio {}
// SAFETY: As above; every access is a single word.
unsafe impl Sync for Mmio {}

/// A NIC whose registers are mapped.
///
/// # Invariants
///
/// `pdev` is the PCI device of `dev`, which stays as long as `dev` is registered.
pub struct Hardware {
    dev: NetDev,
    pdev: NonNull<bindings::pci_dev>,
    mmio: Mmio,
}

// SAFETY: Devices may be used from any thread; what needs a lock says so.
unsafe impl Send for Hardware {}
// SAFETY: As above.
unsafe impl Sync for Hardware {}

impl Hardware {
    /// Maps the registers of a device.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is not a PCI device with registers in memory; `ENOMEM`.
    pub fn map(dev: &NetDev) -> Result<Self> {
        // SAFETY: The device is valid.
        let pdev = NonNull::new(unsafe { bindings::netmap_pci_dev(dev.as_ptr()) }).ok_or(ENODEV)?;
        // INVARIANT: That is its PCI device.
        Ok(Self {
            dev: dev.clone(),
            pdev,
            mmio: Mmio::map(pdev)?,
        })
    }

    /// The network device.
    pub fn dev(&self) -> &NetDev {
        &self.dev
    }

    /// The PCI device.
    pub fn pdev(&self) -> *mut bindings::pci_dev {
        self.pdev.as_ptr()
    }

    /// The PCI device identifier.
    pub fn device_id(&self) -> u16 {
        // SAFETY: The PCI device is valid, by the type's invariant.
        unsafe { (*self.pdev.as_ptr()).device }
    }

    /// The device as the DMA API knows it.
    pub fn device(&self) -> *mut bindings::device {
        // SAFETY: The PCI device is valid, by the type's invariant.
        unsafe { &raw mut (*self.pdev.as_ptr()).dev }
    }

    /// Reads a register.
    #[inline]
    pub fn read(&self, reg: Reg) -> u32 {
        self.mmio.read(reg.0)
    }

    /// Writes a register of the whole device.
    pub(in crate::nic) fn write(&self, reg: Reg, value: u32) {
        self.mmio.write(reg.0, value);
    }

    /// Makes sure that what was written before has reached the device.
    pub fn flush(&self) {
        self.read(Reg::STATUS);
    }

    /// Whether the device no longer answers: it was pulled out, or its slot is off.
    pub fn is_gone(&self) -> bool {
        self.read(Reg::STATUS) == u32::MAX
    }

    /// Runs `access`, a short one, under the lock that the driver holds when it changes control registers.
    pub(in crate::nic) fn locked<T>(&self, access: impl FnOnce() -> T) -> T {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_addr_lock(self.dev.as_ptr()) };
        let result = access();
        // SAFETY: Locked above.
        unsafe { bindings::netmap_addr_unlock(self.dev.as_ptr()) };
        result
    }

    /// Changes the bits `mask` of a register, under that lock.
    pub(in crate::nic) fn update(&self, reg: Reg, mask: u32, bits: u32) {
        self.locked(|| self.write(reg, (self.read(reg) & !mask) | (bits & mask)));
    }

    /// Applies a setting, whether the queue that it is about runs or not.
    pub(in crate::nic) fn put(&self, setting: &Setting) {
        self.update(setting.reg, setting.mask, setting.bits);
    }
}

/// Keeps a device from falling asleep (runtime suspend) as long as this lives, because the registers of a sleeping device
/// read all ones. One from [`Self::new`] has woken it up, too.
///
/// # Invariants
///
/// `pdev` is valid, with a reference of ours and a count that keeps it from falling asleep.
pub struct Awake {
    pdev: NonNull<bindings::pci_dev>,
}

// SAFETY: References and counts of a device belong to no thread.
unsafe impl Send for Awake {}
// SAFETY: As above.
unsafe impl Sync for Awake {}

impl Awake {
    /// Keeps the PCI device of `dev`, if it has one, from falling asleep. It is not woken up.
    pub fn hold(dev: &NetDev, _rtnl: &Rtnl) -> Option<Self> {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        let pdev = NonNull::new(unsafe { bindings::netmap_power_hold(dev.as_ptr()) })?;
        // INVARIANT: Just taken.
        Some(Self { pdev })
    }

    /// Waits for a suspend that is under way. Some drivers take the RTNL mutex in it, so the caller must not hold that. No
    /// suspend begins afterwards, so that [`Self::new`] has none to wait for.
    pub fn settle(&self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_power_settle(self.pdev.as_ptr()) };
    }

    /// Wakes the device, if it sleeps, and keeps it awake. May sleep itself. With the RTNL mutex held, the caller has
    /// made sure before that no suspend is under way, see [`Self::settle`].
    ///
    /// # Errors
    ///
    /// What the driver says if the device does not wake up.
    pub fn new(hw: &Hardware) -> Result<Self> {
        // SAFETY: The PCI device is valid, by the type's invariant.
        kernel::error::to_result(unsafe { bindings::netmap_power_get(hw.pdev()) })?;
        // INVARIANT: Just taken.
        Ok(Self { pdev: hw.pdev })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_power_put(self.pdev.as_ptr()) };
    }
}

/// Bits of a register of a queue, or about a queue.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The register.
    pub reg: Reg,
    /// Which bits.
    pub mask: u32,
    /// Their values.
    pub bits: u32,
}

impl Setting {
    /// The bits `mask` of `reg`, as `bits` says.
    pub const fn new(reg: Reg, mask: u32, bits: u32) -> Self {
        Self { reg, mask, bits }
    }

    /// What the register has now in place of the setting's bits.
    pub fn found(&self, hw: &Hardware) -> Self {
        Self {
            bits: hw.read(self.reg),
            ..*self
        }
    }
}

/// The settings that a queue of ours has, at most.
pub type Settings = [Option<Setting>; 3];

/// Settings that hold as long as this lives. The drop restores the bits that they changed, and no others: the driver, or
/// another of these, may have changed other bits of the same registers in between.
pub struct TemporarySettings<'a> {
    hw: &'a Hardware,
    before: Settings,
}

impl<'a> TemporarySettings<'a> {
    /// Applies all settings.
    pub fn new(hw: &'a Hardware, settings: &Settings) -> Self {
        let before = settings.map(|setting| {
            let found = setting?.found(hw);
            let mask = found.mask & (found.bits ^ setting?.bits);
            Some(Setting { mask, ..found })
        });
        for setting in settings.iter().flatten() {
            hw.put(setting);
        }
        Self { hw, before }
    }
}

impl Drop for TemporarySettings<'_> {
    fn drop(&mut self) {
        for setting in self.before.iter().flatten() {
            self.hw.put(setting);
        }
    }
}

/// The registers of one queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block(u32);

impl Block {
    /// The block at `offset` of BAR 0.
    pub const fn new(offset: u32) -> Self {
        assert!(offset % 4 == 0 && offset < 0xff00);
        Self(offset)
    }

    /// The DMA address of the queue's descriptors.
    pub fn base(self, hw: &Hardware) -> u64 {
        let low = hw.mmio.read(self.0);
        let high = hw.mmio.read(self.0 + 0x04);
        (u64::from(high) << 32) | u64::from(low)
    }

    /// Bytes of the queue's descriptors.
    pub fn bytes(self, hw: &Hardware) -> u32 {
        hw.mmio.read(self.0 + 0x08)
    }

    /// Where the hardware stands.
    pub fn head(self, hw: &Hardware) -> u32 {
        hw.mmio.read(self.0 + 0x10)
    }

    /// Up to where the hardware may go.
    pub fn tail(self, hw: &Hardware) -> u32 {
        hw.mmio.read(self.0 + 0x18)
    }

    /// Lets the hardware go up to `tail`.
    #[inline]
    pub fn set_tail(self, hw: &Hardware, tail: u32) {
        hw.mmio.write(self.0 + 0x18, tail);
    }

    /// The register at `offset` of the block.
    pub(in crate::nic) const fn reg(self, offset: u32) -> Reg {
        Reg(self.0 + offset)
    }

    /// The queue's own control: thresholds, on some an enable bit.
    pub(in crate::nic) const fn control(self) -> Reg {
        self.reg(0x28)
    }
}

/// A queue that is stopped: the hardware neither reads nor writes its descriptors.
///
/// The only way to get one is [`Stopped::stop`]. One that is not started again leaves the queue stopped until the driver
/// resets the device.
#[must_use]
pub struct Stopped<S: Enable> {
    hw: Arc<Hardware>,
    block: Block,
    side: Direction,
    switch: PhantomData<S>,
}

impl<S: Enable> Stopped<S> {
    /// Stops a queue and waits until the hardware says that it has; `ETIMEDOUT` if it does not in time.
    pub fn stop(hw: &Arc<Hardware>, block: Block, side: Direction) -> Result<Self> {
        S::stop(hw, block, side)?;
        Ok(Self {
            hw: hw.clone(),
            block,
            side,
            switch: PhantomData,
        })
    }

    /// The registers, to read.
    pub fn block(&self) -> Block {
        self.block
    }

    /// The NIC.
    pub fn hw(&self) -> &Arc<Hardware> {
        &self.hw
    }

    /// Puts a descriptor ring in place. Head and tail become 0, now or, where heads are read-only, at the start.
    pub fn set_ring(&self, base: u64, bytes: u32) {
        let at = self.block.0;
        self.hw.mmio.write(at + 0x08, bytes);
        // The halves of the address, in the drivers' order.
        self.hw.mmio.write(at + 0x04, (base >> 32) as u32);
        self.hw.mmio.write(at, base as u32);
        // The X550 takes the driver for a malicious one if a head is written before the length has arrived.
        self.hw.flush();
        self.hw.mmio.write(at + 0x10, 0);
        self.hw.mmio.write(at + 0x18, 0);
    }

    /// Applies a setting.
    pub fn apply(&self, setting: &Setting) {
        self.hw.put(setting);
    }

    /// Starts the queue; with head and tail 0 unless it resumes.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`; the queue then counts as stopped.
    pub fn start(&self) -> Result {
        S::start(&self.hw, self.block, self.side)
    }
}
