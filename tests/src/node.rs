//! One node: its directory, its process, and the commands that a sysadmin gives it.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use comity_node::api::{
    ChannelInfo, Digests, NodeStatus, PeerInfo, PeeringFile, PostInfo, Request, Written,
};

use comity_node::storage_key::CREDENTIALS_VARIABLE;

use crate::admin::Admin;
use crate::{Outcome, PATIENCE, comity, eventually, say};

/// The log of the process, beside the node's directory so that it is no part of it.
const LOG: &str = "log";
/// In which Linux counts processor time, on every platform that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;
/// How much of its end a failing test shows.
const LAST_LINES: usize = 15;

/// A node; its process is killed when this is dropped.
pub struct Node {
    pub name: String,
    pub dir: PathBuf,
    pub listen: SocketAddr,
    /// The directory of credentials that systemd would give to the process and to commands.
    pub credentials: Option<PathBuf>,
    /// The network namespace that the process runs in, if not this one.
    pub namespace: Option<String>,
    process: Option<Child>,
}

impl Node {
    /// Makes the node of a partner in `dir`, not running yet.
    pub fn init(name: &str, dir: PathBuf, listen: SocketAddr) -> Node {
        let mut node = Node::at(name, dir);
        node.listen = listen;
        node.comity(&["init", name, "--listen", &listen.to_string()])
            .ok();
        node
    }

    /// A node that was made before, or a copy of one; it is not to be started.
    pub fn at(name: &str, dir: PathBuf) -> Node {
        Node {
            name: name.into(),
            dir,
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            credentials: None,
            namespace: None,
            process: None,
        }
    }

    /// Runs a command on this node.
    pub fn comity(&self, arguments: &[&str]) -> Outcome {
        self.comity_with_input(arguments, b"")
    }

    /// Runs a command that reads its standard input.
    pub fn comity_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.command();
        command.args(arguments);
        Outcome::of(command, input)
    }

    /// The command of the process, on its own host if it has one.
    fn process_command(&self) -> Command {
        let command = self.command();
        let Some(namespace) = &self.namespace else {
            return command;
        };
        let mut there = Command::new("ip");
        there.args(["netns", "exec", namespace]);
        there.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        there
    }

    /// A command on this node, to be given its arguments.
    pub fn command(&self) -> Command {
        let mut command = comity();
        command.arg("--dir").arg(&self.dir);
        if let Some(credentials) = &self.credentials {
            command.env(CREDENTIALS_VARIABLE, credentials);
        }
        command
    }

    /// Runs a command with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Outcome {
        self.comity(&[&["--json"], arguments].concat())
    }

    /// Starts the process and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        self.await_service();
    }

    /// As [`Node::start`], with options of `comity serve`.
    pub fn start_with(&mut self, options: &[&str]) {
        self.spawn_with(options);
        self.await_service();
    }

    /// Starts the process.
    pub fn spawn(&mut self) {
        self.spawn_with(&[]);
    }

    fn spawn_with(&mut self, options: &[&str]) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path());
        let child = self
            .process_command()
            // So that it does not outlive a test that was itself killed.
            .args(["serve", "--until-stdin-ends"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.expect("a log beside the node"))
            .spawn();
        self.process = Some(child.expect("the program starts"));
    }

    /// Waits until the process answers.
    pub fn await_service(&mut self) {
        let name = self.name.clone();
        eventually(&format!("{name} serves"), PATIENCE, || {
            let ended = self.running().try_wait().expect("an own child");
            assert!(
                ended.is_none(),
                "{name} ended: {}",
                ended.unwrap_or_default()
            );
            self.ask::<NodeStatus>(&Request::Status)
        });
    }

    /// Kills the process. What it has written is safe with the system, synced or not.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the node runs");
        process.kill().expect("an own child");
        process.wait().expect("an own child");
    }

    /// Stops the process gracefully by the command, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.comity(&["stop"]).ok();
        self.wait()
    }

    /// Sends a signal to the process.
    pub fn signal(&mut self, signal: &str) {
        let id = self.running().id().to_string();
        let kill = std::process::Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal, &id])
            .status();
        assert!(kill.expect("a shell").success());
    }

    /// Waits for the end of a process that was told to stop.
    pub fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node runs");
        eventually(&format!("{} stops", self.name), PATIENCE, || {
            process.try_wait().expect("an own child")
        })
    }

    /// Asks over the admin socket what has one answer; none if nobody answers.
    pub fn ask<T: TryFrom<comity_node::api::Item>>(&self, request: &Request) -> Option<T> {
        Admin::connect(&self.dir).ok()?.ask(request).ok()
    }

    /// The most memory that the process has had resident since its start, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let process = self.process.as_ref().expect("the node runs");
        let path = format!("/proc/{}/status", process.id());
        let text = std::fs::read_to_string(path).expect("a process that runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number of kB")
            << 10
    }

    /// Processor time of all threads of the process, user and system, since its start, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let process = self.process.as_ref().expect("the node runs");
        let path = format!("/proc/{}/stat", process.id());
        let text = std::fs::read_to_string(path).expect("a process that runs");
        // The name in parentheses may hold blanks: count from behind it.
        let (_, fields) = text.rsplit_once(')').expect("a name in parentheses");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<u32>().expect("a number of ticks");
        f64::from(ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// What the node's log says so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn running(&mut self) -> &mut Child {
        self.process.as_mut().expect("the node runs")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.with_extension(LOG)
    }
}

/// What a sysadmin sees and does.
impl Node {
    /// `comity status`.
    pub fn status(&self) -> NodeStatus {
        self.json(&["status"]).object()
    }

    /// The row of one peer in `comity peer list`.
    pub fn peer(&self, partner: &str) -> PeerInfo {
        let peers: Vec<PeerInfo> = self.json(&["peer", "list"]).ok().objects();
        let found = peers.into_iter().find(|peer| peer.partner == partner);
        found.unwrap_or_else(|| panic!("{} has no peer {partner}", self.name))
    }

    /// `comity peer invite`.
    pub fn invite(&self, options: &[&str]) -> PeeringFile {
        let invite = [&["peer", "invite"], options].concat();
        self.json(&invite).ok().object()
    }

    /// `comity peer accept`, of a file that another side handed over.
    pub fn accept(&self, file: &PeeringFile, options: &[&str]) -> Outcome {
        let text = file.file.as_deref().expect("a file to hand over");
        self.accept_text(text.as_bytes(), options)
    }

    /// `comity peer accept`, of anything.
    pub fn accept_text(&self, file: &[u8], options: &[&str]) -> Outcome {
        let accept = [&["--json", "peer", "accept", "-"], options].concat();
        self.comity_with_input(&accept, file)
    }

    /// `comity peer approve`, with what the other side read.
    pub fn approve(&self, partner: &str, words: &[String]) -> Outcome {
        let words = words.join(" ");
        self.json(&["peer", "approve", partner, "--words", &words])
    }

    /// The row of one channel in `comity channel list`, if there is one.
    pub fn channel(&self, name: &str) -> Option<ChannelInfo> {
        let channels: Vec<ChannelInfo> = self.json(&["channel", "list"]).ok().objects();
        channels.into_iter().find(|channel| channel.name == name)
    }

    /// `comity channel show`.
    pub fn show(&self, channel: &str) -> ChannelInfo {
        self.json(&["channel", "show", channel]).ok().object()
    }

    /// What a partner is in a channel, as this node sees it.
    pub fn status_of(&self, channel: &str, partner: &str) -> Option<String> {
        let members = self.channel(channel)?.members;
        let member = members.into_iter().find(|m| m.partner == partner);
        member.map(|member| member.status)
    }

    /// `comity post`.
    pub fn post(&self, channel: &str, user: &str, message: &str) -> Written {
        self.json(&["post", channel, message, "--user", user])
            .ok()
            .object()
    }

    /// `comity post --to`.
    pub fn post_to(&self, channel: &str, user: &str, message: &str, to: &str) -> Written {
        self.json(&["post", channel, message, "--user", user, "--to", to])
            .ok()
            .object()
    }

    /// `comity read`.
    pub fn read(&self, channel: &str) -> Vec<PostInfo> {
        self.json(&["read", channel]).ok().objects()
    }

    /// One post as `comity read` shows it, if it is there.
    pub fn find(&self, channel: &str, id: &str) -> Option<PostInfo> {
        self.read(channel).into_iter().find(|post| post.id == id)
    }

    /// The posts of `comity export`; files stand among them.
    pub fn export(&self) -> Vec<PostInfo> {
        let items: Vec<serde_json::Value> = self.comity(&["export"]).ok().objects();
        let is_post = |item: &serde_json::Value| item.get("media_type").is_none();
        let posts = items.into_iter().filter(is_post);
        posts
            .map(|post| serde_json::from_value(post).expect("a post"))
            .collect()
    }

    /// What the node holds.
    pub fn digests(&self) -> Digests {
        self.ask(&Request::Digests).expect("a running node")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It fails only for a process that has ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            say(&format!(
                "the log of {} ends:\n  {}",
                self.name,
                last.join("\n  ")
            ));
        }
    }
}
