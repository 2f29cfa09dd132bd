//! The link model against figures worked out by hand.

use super::*;

/// What surrounds the bytes of a packet with one stream.
const AROUND: usize = UDP_HEADERS + QUIC_HEADERS + STREAM_HEADER;

fn link(shape: Shape) -> Links {
    with_turns(shape, None)
}

fn with_turns(shape: Shape, turns: Option<Turns>) -> Links {
    let mut links = Links::default();
    let (forth, back) = (shape.clone(), shape);
    links.insert(0, 1, LinkShape { forth, back, turns });
    links.begin(0, 1, 0);
    links
}

fn rate(bits: u64) -> Shape {
    Shape {
        capacity: Capacity::Rate(bits),
        ..Shape::default()
    }
}

/// Carries in both directions until nothing is left; what arrived from 0 at 1.
fn run(links: &mut Links, mut now_ms: u64, until_ms: u64) -> Vec<(u64, StreamClass, usize)> {
    let mut chance = Chance::new(1);
    let mut arrived = Vec::new();
    let mut agenda = BTreeMap::new();
    let mut number = 0;
    loop {
        for (from, to) in [(0, 1), (1, 0)] {
            if let Some(at) = links.due(from, to, now_ms) {
                number += 1;
                agenda.insert((at, number), (from, to));
            }
        }
        let Some(((at, _), (from, to))) = agenda.pop_first() else {
            return arrived;
        };
        if at > until_ms {
            return arrived;
        }
        now_ms = at;
        for (at, class, bytes) in links.carry(from, to, now_ms, &mut chance) {
            if from == 0 {
                arrived.push((at, class, bytes.len()));
            }
        }
    }
}

/// A frame that makes a packet of exactly `size` bytes on the link.
fn frame(size: usize) -> Vec<u8> {
    vec![0; size - AROUND - FRAME_HEADER]
}

#[test]
fn a_frame_takes_its_bits_by_the_rate_and_the_latency() {
    // 1,200 bytes at 9,600 bit/s: one second. Then 300 ms through the air.
    let mut shape = rate(9_600);
    shape.latency_us = 300_000;
    let mut links = link(shape);
    assert!(links.queue(0, 1, StreamClass::Routine, frame(1_200)));
    assert_eq!(
        run(&mut links, 0, 60_000)[0],
        (1_300, StreamClass::Routine, frame(1_200).len())
    );
    assert_eq!(links.counters(0, 1).bytes, 1_200);
    assert_eq!(
        links.counters(1, 0).bytes,
        (UDP_HEADERS + QUIC_HEADERS + ACK_FRAME) as u64
    );
}

#[test]
fn frames_wait_for_those_before_them_and_small_ones_share_a_packet() {
    let mut links = link(rate(8_000));
    // 1,494 bytes is the largest packet; the second frame does not fit beside the first.
    let large = frame(DATAGRAM_BYTES + UDP_HEADERS);
    assert!(links.queue(0, 1, StreamClass::Routine, large));
    for _ in 0..2 {
        assert!(links.queue(0, 1, StreamClass::Routine, vec![0; 96]));
    }
    // At 1,000 bytes a second: 1,494 ms; then 77 + 2 * (4 + 96) bytes: 277 ms more.
    let arrived: Vec<u64> = run(&mut links, 0, 60_000)
        .iter()
        .map(|frame| frame.0)
        .collect();
    assert_eq!(arrived, [1_494, 1_771, 1_771]);
}

#[test]
fn an_urgent_frame_waits_for_the_packet_under_way_alone() {
    let mut links = link(rate(8_000));
    assert!(links.queue(0, 1, StreamClass::Backfill, vec![0; 64 << 10]));
    let mut chance = Chance::new(1);
    assert_eq!(links.due(0, 1, 0), Some(0));
    assert!(links.carry(0, 1, 0, &mut chance).is_empty());

    assert!(links.queue(0, 1, StreamClass::Flash, vec![0; 100]));
    let arrived = run_after(&mut links, 100);
    let flash = arrived
        .iter()
        .find(|frame| frame.1 == StreamClass::Flash)
        .unwrap();
    // The first packet leaves at 1,494 ms, the next is filled with what is urgent first.
    assert_eq!(flash.0, 2 * 1_494);
    let backfill = arrived
        .iter()
        .find(|frame| frame.1 == StreamClass::Backfill)
        .unwrap();
    assert!(backfill.0 > 65_536, "{arrived:?}");
}

/// The same as `run`, with the next carry of 0 to 1 not told yet.
fn run_after(links: &mut Links, now_ms: u64) -> Vec<(u64, StreamClass, usize)> {
    run(links, now_ms, 1_000_000)
}

#[test]
fn nothing_passes_while_a_link_is_paused_and_everything_after() {
    let mut links = link(rate(8_000));
    links.pause(0, 1, true);
    assert!(links.queue(0, 1, StreamClass::Routine, frame(500)));
    assert_eq!(run(&mut links, 0, 10_000), []);
    links.pause(0, 1, false);
    assert_eq!(run(&mut links, 10_000, 60_000)[0].0, 10_500);
}

#[test]
fn a_connection_that_ends_takes_what_waits_with_it() {
    let mut links = link(rate(8_000));
    assert!(links.queue(0, 1, StreamClass::Routine, frame(500)));
    links.end(0, 1);
    links.begin(0, 1, 100);
    assert_eq!(links.take_peak(0, 1), 500 - AROUND);
    assert_eq!(links.take_peak(0, 1), 0);
    assert_eq!(run(&mut links, 100, 60_000), []);
}

#[test]
fn packets_leave_at_the_opportunities_of_a_trace() {
    let trace = Arc::new(Trace::parse("10\n40\n100\n").unwrap());
    let mut links = link(Shape {
        latency_us: 5_000,
        capacity: Capacity::Trace(trace),
        ..Shape::default()
    });
    // Three packets and a bit; the last two small frames share an opportunity.
    let full = DATAGRAM_BYTES + UDP_HEADERS;
    for size in [full, full, full] {
        assert!(links.queue(0, 1, StreamClass::Routine, frame(size)));
    }
    assert!(links.queue(0, 1, StreamClass::Routine, vec![0; 50]));
    let arrived: Vec<u64> = run(&mut links, 0, 60_000)
        .iter()
        .map(|frame| frame.0)
        .collect();
    assert_eq!(arrived, [15, 45, 105, 115]);
}

#[test]
fn a_lost_packet_costs_the_link_again_and_the_wait_for_the_loss() {
    let mut shape = rate(8_000);
    shape.latency_us = 400_000;
    shape.loss_ppm = 500_000;
    let mut links = link(shape);
    assert!(links.queue(0, 1, StreamClass::Routine, frame(1_000)));
    let arrived = run(&mut links, 0, 600_000)[0].0;
    let lost = links.counters(0, 1).lost;
    // Each loss: a second on the link, and 9/8 of a round trip of 800 ms.
    assert_eq!(arrived, 1_000 + 400 + lost * (1_000 + 900));
    assert_eq!(links.counters(0, 1).bytes, 1_000 * (1 + lost));
}

#[test]
fn on_a_shared_medium_every_change_of_direction_costs_the_turnaround() {
    let turns = Turns {
        turnaround_us: 2_000_000,
        hold_us: 10_000_000,
    };
    let mut links = with_turns(rate(8_000), Some(turns));
    assert!(links.queue(0, 1, StreamClass::Routine, frame(1_000)));
    assert_eq!(run(&mut links, 0, 60_000)[0].0, 1_000);
    // The acknowledgement went at 3.0 s and took 77 ms: the next packet turns the medium again.
    assert!(links.queue(0, 1, StreamClass::Routine, frame(1_000)));
    assert_eq!(run(&mut links, 3_077, 60_000)[0].0, 6_077);
}

#[test]
fn a_full_queue_refuses_and_says_once_when_it_is_half_empty() {
    let mut links = link(rate(1_000_000_000));
    while links.queue(0, 1, StreamClass::Routine, vec![0; 1 << 20]) {}
    assert!(links.queue(0, 1, StreamClass::Flash, vec![0; 1 << 20]));
    assert!(!links.is_roomy(0, 1));
    run(&mut links, 0, 100_000);
    assert!(links.is_roomy(0, 1));
    assert!(!links.is_roomy(0, 1));
}

#[test]
fn a_silent_link_is_probed_and_a_busy_one_is_not() {
    let mut links = link(rate(1_000_000));
    links.probe(0, 1, 500);
    assert_eq!(links.counters(0, 1).packets, 0);
    links.probe(0, 1, 1_000);
    let bytes = (UDP_HEADERS + QUIC_HEADERS + PING_FRAME) as u64;
    assert_eq!(links.counters(0, 1).bytes, bytes);
    assert_eq!(links.counters(1, 0).packets, 1);
    links.probe(0, 1, 1_500);
    assert_eq!(links.counters(0, 1).packets, 1);
}
