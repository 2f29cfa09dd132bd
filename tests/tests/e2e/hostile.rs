//! Hostile input from nearby: the admin socket, peering files, the UDP port.

use std::net::UdpSocket;

use comity_node::api::{MAX_LINE, NodeStatus, Reply, Request};
use comity_tests::admin::Admin;
use comity_tests::{Dice, Node, Site, free_address, say};

/// A node at rest has about 30 MiB. A line of 64 MiB is too long, and until that shows it lies in a
/// buffer that grows by doubling.
const MEMORY_MAX: u64 = 256 << 20;
const DATAGRAMS: usize = 10_000;
const DATAGRAM_MAX: u64 = 1500;

#[test]
fn garbage_on_the_admin_socket_costs_the_conversation_at_most() {
    let mut dice = Dice::of("garbage");
    let site = Site::of(&["alpha"]);
    let mut admin = Admin::connect(&site["alpha"].dir).unwrap();
    let nested = "[".repeat(100_000);
    let mut lines: Vec<Vec<u8>> = [
        "",
        "not JSON",
        "null",
        "{}",
        r#"{"request":"no_such_request"}"#,
        r#"{"request":"read","channel":"harbour","limit":1,"and":"more"}"#,
        r#"{"request":"read","channel":7,"limit":-1}"#,
        &nested,
    ]
    .map(Into::into)
    .into();
    for _ in 0..100 {
        let mut line = dice.bytes(200);
        line.retain(|byte| *byte != b'\n');
        lines.push(line);
    }
    for mut line in lines {
        line.push(b'\n');
        admin.send_raw(&line).unwrap();
        let refused = admin.receive().unwrap();
        assert!(
            matches!(&refused, Reply::Failed { error } if error.code == "bad_request"),
            "{refused:?}"
        );
    }
    // The same conversation goes on.
    admin.ask::<NodeStatus>(&Request::Status).unwrap();
}

#[test]
fn an_endless_line_ends_the_conversation_and_not_the_node() {
    let site = Site::of(&["alpha"]);
    let mut cut_off = Admin::connect(&site["alpha"].dir).unwrap();
    cut_off.send_raw(br#"{"request":"sta"#).unwrap();
    drop(cut_off);
    let mut admin = Admin::connect(&site["alpha"].dir).unwrap();
    let part = vec![b'a'; 1 << 20];
    // The node hangs up when the line is too long, perhaps before all of it was taken.
    let taken = (0..2 * MAX_LINE / part.len()).take_while(|_| admin.send_raw(&part).is_ok());
    assert!(taken.count() >= MAX_LINE / part.len());
    assert!(admin.receive().is_err());
    is_well(&site["alpha"], "an endless line");
}

#[test]
fn a_damaged_peering_file_is_refused() {
    let mut dice = Dice::of("peering files");
    let site = Site::of(&["alpha", "bravo"]);
    let invitation = site["alpha"].invite(&[]).file.unwrap();
    let refuse = |file: &[u8]| {
        let outcome = site["bravo"].accept_text(file, &[]);
        assert_eq!(outcome.code(), 2, "{}", String::from_utf8_lossy(file));
    };
    for _ in 0..10 {
        let cut = dice.below(invitation.len() as u64 - 2) as usize;
        refuse(&invitation.as_bytes()[..cut]);
        refuse(&altered(&invitation, &mut dice));
    }
    refuse(&dice.bytes(1000));
    refuse(&[b'a'; 2 << 20]);
    // Nothing of all that is left, and the file itself is good.
    assert!(site["bravo"].status().peers.is_empty());
    let own = site["alpha"].accept_text(invitation.as_bytes(), &[]);
    assert_eq!(own.failed().code, "own_invitation");
    site["bravo"].accept_text(invitation.as_bytes(), &[]).ok();
}

/// The file with another letter in the place of one.
fn altered(file: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.as_bytes().to_vec();
    let begin = file.find('\n').unwrap() + 1;
    let end = file.find("-----END").unwrap();
    let letters: Vec<usize> = (begin..end)
        .filter(|at| bytes[*at].is_ascii_alphanumeric())
        // The last letters before padding may hold bits that mean nothing.
        .filter(|at| *at + 6 < end)
        .collect();
    let at = letters[dice.below(letters.len() as u64) as usize];
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    bytes
}

#[test]
fn random_datagrams_cost_the_node_little() {
    let mut dice = Dice::of("datagrams");
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    let socket = UdpSocket::bind(free_address()).unwrap();
    for _ in 0..DATAGRAMS {
        let length = dice.below(DATAGRAM_MAX) as usize;
        let mut datagram = dice.bytes(length);
        // Half of them look like the first packet of a connection.
        if let Some(first) = datagram.first_mut()
            && dice.below(2) == 0
        {
            *first |= 0xc0;
            datagram.splice(1..5.min(length), [0, 0, 0, 1]);
        }
        socket.send_to(&datagram, site["alpha"].listen).unwrap();
    }
    is_well(&site["alpha"], "10,000 random datagrams");
    // Its links still work.
    site["bravo"].post("harbour", "boris", "Is anybody there?");
    site.converge(&["alpha", "bravo"]);
}

fn is_well(node: &Node, after: &str) {
    let status: NodeStatus = node.json(&["status"]).ok().object();
    let (now, peak) = (status.rss_bytes, node.peak_memory());
    say(&format!(
        "{after}: {} MiB resident, {} MiB at the peak",
        now >> 20,
        peak >> 20
    ));
    assert!(peak < MEMORY_MAX, "{peak} bytes resident");
}
