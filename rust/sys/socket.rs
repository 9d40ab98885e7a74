// SPDX-License-Identifier: GPL-2.0

//! TCP sockets whose data do not come from and go to system calls of a program: see `stack.c`.

use super::{netdev::NetDev, softirq::Softirq};
use crate::{bindings, prelude::*};
use core::{
    marker::{PhantomData, PhantomPinned},
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    ffi::{c_int, c_void},
    types::Opaque, //
};

/// What is new of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct News(u32);

impl News {
    /// Nothing.
    pub(crate) const NONE: Self = Self(0);

    /// There may be something left in it to read.
    pub(crate) fn left(self) -> bool {
        self.0 & bindings::netmap_stack_news_NETMAP_STACK_LEFT != 0
    }

    /// All there will ever be was read.
    pub(crate) fn ended(self) -> bool {
        self.0 & bindings::netmap_stack_news_NETMAP_STACK_END != 0
    }

    /// It may take something to send.
    pub(crate) fn writable(self) -> bool {
        self.0 & bindings::netmap_stack_news_NETMAP_STACK_WRITABLE != 0
    }

    /// TCP is done with it.
    pub(crate) fn gone(self) -> bool {
        self.0 & bindings::netmap_stack_news_NETMAP_STACK_GONE != 0
    }
}

/// Bytes of a received packet.
pub(crate) struct Arrived<'a> {
    skb: *const bindings::sk_buff,
    offset: u32,
    len: u32,
    _packet: PhantomData<&'a bindings::sk_buff>,
}

impl Arrived<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Copies `count` of them, from `from` on. False if that is not possible.
    ///
    /// # Safety
    ///
    /// They are within the packet's, and `to` is valid for writes of as many.
    pub(crate) unsafe fn copy(&self, from: u32, to: NonNull<u8>, count: u32) -> bool {
        let offset = self.offset.wrapping_add(from);
        // SAFETY: The packet is valid as long as this value; the rest is by the requirement.
        unsafe { bindings::netmap_stack_copy(self.skb, offset, to.as_ptr().cast(), count) }
    }
}

/// Who hears of a socket.
pub(crate) trait Stream: Send + Sync {
    /// Stores bytes that have arrived, from the first one on, and says how many. What is not stored stays in the socket. With the
    /// socket locked and softirqs off.
    fn store(&self, arrived: &Arrived<'_>, softirqs: &Softirq) -> u32;

    /// Something is new, or the socket has this error, if it is not 0. Mostly with the socket locked, in any context.
    fn news(&self, news: News, error: u16);
}

/// A [`Stream`] with what TCP needs to find it.
///
/// # Invariants
///
/// `raw` is initialised, and has the functions of this type. It says a socket from [`Self::tap`] to [`Locked::untap`] or the socket's
/// end.
#[pin_data]
#[repr(C)]
pub(crate) struct Tapped<T> {
    #[pin]
    raw: Opaque<bindings::netmap_stack_sock>,
    stream: T,
    #[pin]
    _pinned: PhantomPinned,
}

// SAFETY: What is in `raw` is changed under the locks of the socket alone.
unsafe impl<T: Stream> Send for Tapped<T> {}
// SAFETY: As above.
unsafe impl<T: Stream> Sync for Tapped<T> {}

impl<T> Deref for Tapped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.stream
    }
}

/// The device by which packets leave, as long as it is registered; not a reference, which would keep it from going.
pub(crate) struct Place(bindings::netmap_stack_place);

// SAFETY: Its address is compared, and never followed.
unsafe impl Send for Place {}
// SAFETY: As above.
unsafe impl Sync for Place {}

impl Place {
    /// Of a device.
    pub(crate) fn of(dev: &NetDev) -> Self {
        // SAFETY: The device is valid.
        Self(unsafe { bindings::netmap_stack_place_of(dev.as_ptr()) })
    }
}

/// A reference to a socket that can be tapped.
pub(crate) struct Socket(NonNull<bindings::sock>);

impl Socket {
    /// That of a descriptor of the calling task. Errors: those of `netmap_stack.h`.
    pub(crate) fn find(fd: i32, place: &Place) -> Result<Self> {
        let mut sk = core::ptr::null_mut();
        // SAFETY: Both are valid, and the result can be written.
        kernel::error::to_result(unsafe { bindings::netmap_stack_find(fd, &place.0, &mut sk) })?;
        NonNull::new(sk).map(Self).ok_or(EBADF)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::netmap_stack_sock_put(self.0.as_ptr()) };
    }
}

impl<T: Stream> Tapped<T> {
    const OPS: bindings::netmap_stack_ops = bindings::netmap_stack_ops {
        store: Some(Self::store),
        news: Some(Self::raw_news),
    };

    /// Hears of no socket yet.
    pub(crate) fn new(stream: T) -> impl PinInit<Self> {
        // INVARIANT: The functions are for this type.
        pin_init!(Self {
            raw <- Opaque::ffi_init(|raw| {
                // SAFETY: It is valid for writes, and pinned from now on.
                unsafe { bindings::netmap_stack_sock_init(raw, &Self::OPS) }
            }),
            stream,
            _pinned: PhantomPinned,
        })
    }

    /// # Safety
    ///
    /// For `stack.c` alone, as this function of a tapped socket.
    unsafe extern "C" fn store(
        socket: *mut bindings::netmap_stack_sock,
        skb: *const bindings::sk_buff,
        offset: u32,
        len: u32,
    ) -> u32 {
        // SAFETY: `raw` is the first field of the value, which is there as long as the socket is tapped.
        let tapped = unsafe { &*socket.cast::<Self>() };
        let arrived = Arrived {
            skb,
            offset,
            len,
            _packet: PhantomData,
        };
        // SAFETY: `stack.c` calls this with softirqs off, or as one.
        tapped.stream.store(&arrived, unsafe { Softirq::assume() })
    }

    /// # Safety
    ///
    /// As [`Self::store`].
    unsafe extern "C" fn raw_news(
        socket: *mut bindings::netmap_stack_sock,
        news: u32,
        error: c_int,
    ) {
        // SAFETY: As in `store`.
        let tapped = unsafe { &*socket.cast::<Self>() };
        let error = u16::try_from(error.unsigned_abs()).unwrap_or(0);
        tapped.stream.news(News(news), error);
    }

    /// Hears of a socket from now on; what has arrived on it already is stored at once. Errors: those of `netmap_stack.h`.
    ///
    /// # Safety
    ///
    /// It was not called before. The value neither moves nor is dropped before [`Locked::untap`] was called, or there was news that
    /// the socket is gone and [`Self::settle`] was called after that.
    pub(crate) unsafe fn tap(&self, socket: Socket) -> Result {
        // SAFETY: By the requirement; both are valid.
        kernel::error::to_result(unsafe {
            bindings::netmap_stack_attach(self.raw.get(), socket.0.as_ptr())
        })?;
        // The reference is that of `raw` now.
        core::mem::forget(socket);
        Ok(())
    }

    /// Locks the socket, in process context; [`None`] if TCP is done with it, or it is not tapped any more.
    pub(crate) fn lock(&self) -> Option<Locked<'_, T>> {
        let mut is_dead = false;
        // SAFETY: Initialised, by the type's invariant.
        let sk = unsafe { bindings::netmap_stack_lock(self.raw.get(), &mut is_dead) };
        Some(Locked {
            sk: NonNull::new(sk)?,
            tapped: self,
            is_dead,
            push: false,
        })
    }

    /// Whether somebody has the socket open and connected as it was, and TCP is not done with it, at a glance.
    pub(crate) fn is_open(&self) -> bool {
        // SAFETY: Initialised, by the type's invariant.
        unsafe { bindings::netmap_stack_is_open(self.raw.get()) }
    }

    /// Whether nobody has the socket open any more, at a glance.
    pub(crate) fn is_closed(&self) -> bool {
        // SAFETY: Initialised, by the type's invariant.
        unsafe { bindings::netmap_stack_is_closed(self.raw.get()) }
    }

    /// Waits until the function that told the news of the socket's end has returned.
    pub(crate) fn settle(&self) {
        // SAFETY: Initialised, by the type's invariant.
        unsafe { bindings::netmap_stack_sync(self.raw.get()) };
    }
}

/// Bytes of a buffer that are to be sent.
#[repr(transparent)]
pub(crate) struct Piece(bindings::netmap_stack_piece);

// SAFETY: It is an address, which belongs to no thread, and two numbers.
unsafe impl Send for Piece {}

impl Piece {
    /// `len` bytes at `data`, which lie in `buffer`.
    #[inline]
    pub(crate) fn new(data: NonNull<u8>, len: u32, buffer: u32) -> Self {
        Self(bindings::netmap_stack_piece {
            data: data.as_ptr().cast(),
            len,
            buffer,
        })
    }

    /// Where they are.
    #[inline]
    pub(crate) fn data(&self) -> *const u8 {
        self.0.data.cast()
    }

    /// The buffer that it has: the one that TCP has given for it, if that has the one in which they lie.
    #[inline]
    pub(crate) fn buffer(&self) -> u32 {
        self.0.buffer
    }
}

/// A tapped socket, locked. Unlocked when it is dropped.
///
/// # Invariants
///
/// `sk` is the socket of `tapped`, locked, with a reference of this value's.
pub(crate) struct Locked<'a, T: Stream> {
    sk: NonNull<bindings::sock>,
    tapped: &'a Tapped<T>,
    is_dead: bool,
    push: bool,
}

impl<T: Stream> Locked<'_, T> {
    /// Whether nobody has it open any more, or it was disconnected.
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Reads what is there into the stream.
    pub(crate) fn drain(&mut self) -> News {
        // SAFETY: By the type's invariant.
        News(unsafe { bindings::netmap_stack_drain(self.sk.as_ptr(), self.tapped.raw.get()) })
    }

    /// Sends the pieces together; `more` follow. Returns how many bytes TCP has accepted. Where a piece has another buffer then, TCP
    /// has the one that it had; otherwise its bytes were copied.
    ///
    /// The socket is not dead. Errors: `EAGAIN` if TCP takes nothing now; or why it takes nothing any more.
    ///
    /// # Safety
    ///
    /// The data of each piece is valid for reads as long as the pool's owner, and the caller is the only one to use the pool.
    pub(crate) unsafe fn send(
        &mut self,
        pool: &Pool,
        pieces: &mut [Piece],
        more: bool,
    ) -> Result<u32> {
        let count = u32::try_from(pieces.len()).map_err(|_| EINVAL)?;
        // SAFETY: By the type's invariant, and the requirement. A `Piece` is what C says that it is.
        let sent = unsafe {
            bindings::netmap_stack_send(
                self.sk.as_ptr(),
                pool.0.as_ptr(),
                pieces.as_mut_ptr().cast(),
                count,
                more,
            )
        };
        // What was accepted with more to follow may be held back.
        match u32::try_from(sent) {
            Ok(0) => Err(EAGAIN),
            Ok(sent) => {
                self.push = more;
                Ok(sent)
            }
            Err(_) => Err(Error::from_errno(sent)),
        }
    }

    /// Makes it an ordinary socket: the stream hears nothing more of it, and TCP has none of our buffers, but for those in packets
    /// that drivers have.
    pub(crate) fn untap(self) -> Ordinary {
        // SAFETY: By the type's invariant, and there is no more of it after this.
        unsafe { bindings::netmap_stack_detach(self.tapped.raw.get(), self.sk.as_ptr()) };
        // INVARIANT: The lock and the reference are those of `self`, which is not dropped.
        let ordinary = Ordinary {
            sk: self.sk,
            push: self.push,
        };
        core::mem::forget(self);
        ordinary
    }
}

/// A socket that was tapped, locked. Unlocked when it is dropped.
///
/// # Invariants
///
/// `sk` is locked, with a reference of this value's.
pub(crate) struct Ordinary {
    sk: NonNull<bindings::sock>,
    push: bool,
}

impl Ordinary {
    /// Puts bytes back that were read, the end of the stream first, which is the `last`.
    ///
    /// # Safety
    ///
    /// `data` is valid for reads of `len` bytes.
    pub(crate) unsafe fn unread(&mut self, data: NonNull<u8>, len: u32, last: bool) {
        // SAFETY: By the type's invariant, and the requirement.
        unsafe {
            bindings::netmap_stack_unread(self.sk.as_ptr(), data.as_ptr().cast(), len, last);
        }
    }

    /// Tells whoever waits for the socket to look.
    pub(crate) fn announce(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_stack_announce(self.sk.as_ptr()) };
    }
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_stack_unlock(self.sk.as_ptr(), self.push) };
    }
}

impl<T: Stream> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_stack_unlock(self.sk.as_ptr(), self.push) };
    }
}

/// Buffers that TCP may hold until what is in them was acknowledged.
pub(crate) struct Pool(NonNull<bindings::netmap_stack_pool>);

// SAFETY: It belongs to no thread.
unsafe impl Send for Pool {}
// SAFETY: With a reference to it one can only send, whose requirement keeps others away, and read a counter.
unsafe impl Sync for Pool {}

impl Pool {
    /// Of these buffers. `owner` is dropped by a work item when the pool is dropped and TCP and drivers have let go of all buffers.
    pub(crate) fn new<T: Send + 'static>(buffers: &[u32], owner: KBox<T>) -> Result<Self> {
        let count = u32::try_from(buffers.len()).map_err(|_| EINVAL)?;
        let owner = KBox::into_raw(owner);
        // SAFETY: The slice has as many; `done` is for an owner of this type.
        let pool = unsafe {
            bindings::netmap_stack_pool_new(
                buffers.as_ptr(),
                count,
                Some(Self::done::<T>),
                owner.cast(),
            )
        };
        NonNull::new(pool).map(Self).ok_or_else(|| {
            // SAFETY: From `into_raw` above, and nobody else has it.
            drop(unsafe { KBox::from_raw(owner) });
            ENOMEM
        })
    }

    /// # Safety
    ///
    /// For the pool alone, once, with the owner that it was given.
    unsafe extern "C" fn done<T>(owner: *mut c_void) {
        // SAFETY: By the requirement.
        drop(unsafe { KBox::<T>::from_raw(owner.cast()) });
    }

    /// How many buffers TCP and drivers hold now.
    pub(crate) fn held(&self) -> u32 {
        // SAFETY: The pool is valid.
        unsafe { bindings::netmap_stack_pool_held(self.0.as_ptr()) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: The pool is valid, and ours to give up.
        unsafe { bindings::netmap_stack_pool_put(self.0.as_ptr()) };
    }
}

/// Waits until all pools that were dropped are gone. When the module goes.
pub(crate) fn settle() {
    // SAFETY: In process context.
    unsafe { bindings::netmap_stack_settle() };
}
