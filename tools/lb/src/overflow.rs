// SPDX-License-Identifier: BSD-2-Clause
//! Packets that wait for room in their pipe.

use std::collections::VecDeque;

/// A fragment of a packet, or all of one, in a buffer of its own.
#[derive(Debug)]
pub struct Fragment<B> {
    /// Where it is.
    pub buffer: B,
    /// Octets.
    pub len: u16,
    /// `NS_MOREFRAG` or 0.
    pub flags: u16,
}

#[derive(Debug)]
struct Queue<B> {
    fragments: VecDeque<Fragment<B>>,
    /// In how many fragments each packet is, in order.
    packets: VecDeque<u32>,
}

/// A queue for each pipe, and the buffers that no queue needs.
///
/// The queues share the buffers: when there is no free one, the longest queue loses its oldest packets.
///
/// # Invariants
///
/// The fragments of a queue are those of its packets: as many as their counts add up to.
#[derive(Debug)]
pub struct Overflow<B> {
    free: Vec<B>,
    queues: Vec<Queue<B>>,
}

/// A packet that was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Its queue.
    pub queue: usize,
    /// Its length.
    pub octets: u64,
}

impl<B> Overflow<B> {
    /// Empty queues, and the buffers for them.
    pub fn new(free: Vec<B>, queues: usize) -> Self {
        let queue = || Queue {
            fragments: VecDeque::new(),
            packets: VecDeque::new(),
        };
        Overflow {
            free,
            queues: (0..queues).map(|_| queue()).collect(),
        }
    }

    /// Whether no packet waits in `queue`.
    pub fn is_empty(&self, queue: usize) -> bool {
        self.queues[queue].packets.is_empty()
    }

    /// Buffers in `queue`.
    pub fn len(&self, queue: usize) -> usize {
        self.queues[queue].fragments.len()
    }

    /// Free buffers.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Adds a packet of `count` fragments, which `fill` makes, each from a free buffer. Says in `dropped` what had to give way.
    /// False, and nothing added, if there are not so many buffers.
    pub fn push(
        &mut self,
        queue: usize,
        count: u32,
        fill: impl FnMut(B) -> Fragment<B>,
        mut dropped: impl FnMut(Dropped),
    ) -> bool {
        let total = self.free.len() + self.queues.iter().map(|q| q.fragments.len()).sum::<usize>();
        if total < count as usize {
            return false;
        }
        while self.free.len() < count as usize {
            self.revoke(&mut dropped);
        }
        let free = self.free.drain(self.free.len() - count as usize..);
        self.queues[queue].fragments.extend(free.map(fill));
        self.queues[queue].packets.push_back(count);
        true
    }

    /// Takes the oldest packet of `queue` if `room` slots hold it: `send` gets each fragment, and leaves a free buffer.
    /// In how many fragments it was.
    pub fn pop(
        &mut self,
        queue: usize,
        room: u32,
        send: impl FnMut(Fragment<B>) -> B,
    ) -> Option<u32> {
        let waiting = &mut self.queues[queue];
        let count = *waiting.packets.front().filter(|&&count| count <= room)?;
        waiting.packets.pop_front();
        let fragments = waiting.fragments.drain(..count as usize);
        self.free.extend(fragments.map(send));
        Some(count)
    }

    /// All buffers, whatever is in them.
    pub fn into_buffers(self) -> impl Iterator<Item = B> {
        let queues = self.queues.into_iter();
        let queued = queues.flat_map(|queue| queue.fragments.into_iter().map(|f| f.buffer));
        self.free.into_iter().chain(queued)
    }

    /// Drops all packets.
    pub fn clear(&mut self, mut dropped: impl FnMut(Dropped)) {
        for queue in 0..self.queues.len() {
            while self.drop_oldest(queue, &mut dropped) {}
        }
    }

    /// Drops the oldest packets of the longest queue: an eighth of it, so that it need not be looked for at each packet.
    fn revoke(&mut self, dropped: &mut impl FnMut(Dropped)) {
        let lengths = self.queues.iter().map(|queue| queue.fragments.len());
        let Some((longest, len)) = lengths.enumerate().max_by_key(|(_, len)| *len) else {
            return;
        };
        let rest = len - len.div_ceil(8);
        while self.queues[longest].fragments.len() > rest && self.drop_oldest(longest, dropped) {}
    }

    /// Drops the oldest packet of a queue; false if there is none.
    fn drop_oldest(&mut self, number: usize, dropped: &mut impl FnMut(Dropped)) -> bool {
        let queue = &mut self.queues[number];
        let Some(count) = queue.packets.pop_front() else {
            return false;
        };
        let mut octets = 0;
        self.free
            .extend(queue.fragments.drain(..count as usize).map(|fragment| {
                octets += u64::from(fragment.len);
                fragment.buffer
            }));
        dropped(Dropped {
            queue: number,
            octets,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Adds a packet whose fragments are all `len` octets long; what gave way, if it fitted.
    fn push(
        overflow: &mut Overflow<u32>,
        queue: usize,
        count: u32,
        len: u16,
    ) -> Option<Vec<Dropped>> {
        let mut dropped = Vec::new();
        let fill = |buffer| Fragment {
            buffer,
            len,
            flags: 0,
        };
        overflow
            .push(queue, count, fill, |one| dropped.push(one))
            .then_some(dropped)
    }

    /// The length of the fragments of the packet that leaves, and how many.
    fn pop(overflow: &mut Overflow<u32>, queue: usize, room: u32) -> Option<(u16, u32)> {
        let mut sent = (0, 0);
        let left = overflow.pop(queue, room, |fragment| {
            sent = (fragment.len, sent.1 + 1);
            fragment.buffer
        });
        assert_eq!(left, Some(sent.1).filter(|fragments| *fragments > 0));
        left.map(|_| sent)
    }

    #[test]
    fn packets_leave_in_order_and_whole() {
        let mut overflow = Overflow::new((0..10).collect(), 2);
        assert_eq!(push(&mut overflow, 0, 3, 100), Some(vec![]));
        assert_eq!(push(&mut overflow, 0, 1, 60), Some(vec![]));
        assert_eq!(
            (overflow.free(), overflow.len(0), overflow.len(1)),
            (6, 4, 0)
        );
        assert_eq!(pop(&mut overflow, 0, 2), None);
        assert_eq!(pop(&mut overflow, 1, 9), None);
        assert_eq!(pop(&mut overflow, 0, 3), Some((100, 3)));
        assert_eq!(pop(&mut overflow, 0, 3), Some((60, 1)));
        assert!(overflow.is_empty(0));
        assert_eq!(overflow.free(), 10);
    }

    #[test]
    fn the_oldest_of_the_longest_queue_give_way() {
        let mut overflow = Overflow::new((0..10).collect(), 3);
        for len in 0..7 {
            push(&mut overflow, 1, 1, len);
        }
        push(&mut overflow, 2, 3, 500);
        let gone = |octets| Dropped { queue: 1, octets };
        assert_eq!(push(&mut overflow, 0, 1, 9), Some(vec![gone(0)]));
        assert_eq!(push(&mut overflow, 0, 2, 9), Some(vec![gone(1), gone(2)]));
        assert_eq!(pop(&mut overflow, 1, 1), Some((3, 1)));
        assert_eq!(pop(&mut overflow, 2, 3), Some((500, 3)));
    }

    #[test]
    fn what_waits_at_the_end_is_dropped() {
        let mut overflow = Overflow::new((0..10).collect(), 2);
        push(&mut overflow, 0, 3, 100);
        push(&mut overflow, 1, 1, 60);
        push(&mut overflow, 0, 1, 9);
        let mut dropped = Vec::new();
        overflow.clear(|one| dropped.push((one.queue, one.octets)));
        assert_eq!(dropped, [(0, 300), (0, 9), (1, 60)]);
        assert_eq!(
            (overflow.free(), overflow.len(0), overflow.len(1)),
            (10, 0, 0)
        );
    }

    #[test]
    fn what_has_more_fragments_than_there_are_buffers_is_not_taken() {
        let mut overflow = Overflow::new((0..4).collect(), 1);
        push(&mut overflow, 0, 2, 1);
        assert_eq!(push(&mut overflow, 0, 5, 1), None);
        assert_eq!(overflow.len(0), 2);
        assert_eq!(push(&mut Overflow::new(vec![], 1), 0, 1, 1), None);
    }

    proptest! {
        #[test]
        fn no_buffer_is_lost_or_twice(steps in proptest::collection::vec((0..3usize, 0..6u32, any::<bool>()), 0..100)) {
            let mut overflow = Overflow::new((0..16).collect(), 3);
            let mut waiting = [(); 3].map(|()| VecDeque::new());
            for (number, (queue, count, adds)) in steps.into_iter().enumerate() {
                if adds && count > 0 {
                    let dropped = push(&mut overflow, queue, count, number as u16).unwrap();
                    for one in dropped {
                        let (number, count) = waiting[one.queue].pop_front().unwrap();
                        prop_assert_eq!(one.octets, number as u64 * u64::from(count));
                    }
                    waiting[queue].push_back((number, count));
                } else if let Some((len, fragments)) = pop(&mut overflow, queue, count) {
                    let (number, count) = waiting[queue].pop_front().unwrap();
                    prop_assert_eq!((usize::from(len), fragments), (number, count));
                } else {
                    prop_assert!(waiting[queue].front().is_none_or(|(_, needs)| *needs > count));
                }
                let used: u32 = waiting.iter().flatten().map(|(_, count)| count).sum();
                prop_assert_eq!(overflow.free(), 16 - used as usize);
            }
            let mut buffers: Vec<u32> = overflow.into_buffers().collect();
            buffers.sort_unstable();
            prop_assert_eq!(buffers, (0..16).collect::<Vec<_>>());
        }
    }
}
