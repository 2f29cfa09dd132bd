//! A scenario's text as it stands, before anything is made of it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::Refusal;
use crate::plan::values::{Millionths, Rate, Span};

/// A text that is a scenario by its form.
pub struct Document<'a> {
    origin: &'a str,
    text: &'a str,
    pub raw: Raw,
}

/// The fields of a scenario. What is absent comes from the profile.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub name: Option<String>,
    pub about: Option<String>,
    pub sources: Option<Vec<String>>,
    pub profile: Option<Spanned<String>>,
    pub duration: Option<Spanned<Span>>,
    pub settle: Option<Spanned<Span>>,
    pub partners: Option<Vec<Spanned<String>>>,
    pub link: Option<Spanned<RawLink>>,
    pub links: Option<Vec<Spanned<RawLink>>>,
    pub traffic: Option<Vec<Spanned<RawTraffic>>>,
    pub events: Option<Vec<Spanned<RawEvent>>>,
}

/// `[link]`, for all pairs, and `[[links]]`, for one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLink {
    pub between: Option<[String; 2]>,
    pub absent: Option<bool>,
    pub latency: Option<Span>,
    pub jitter: Option<Span>,
    pub loss_percent: Option<Millionths>,
    pub rate: Option<Rate>,
    pub rate_back: Option<Rate>,
    pub trace: Option<String>,
    pub trace_back: Option<String>,
    pub turnaround: Option<Span>,
    pub hold: Option<Span>,
    pub down: Option<Vec<RawDown>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDown {
    pub at: Span,
    #[serde(rename = "for")]
    pub lasts: Span,
    pub every: Option<Span>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTraffic {
    pub from: Option<Vec<String>>,
    pub posts_per_minute: Millionths,
    pub bytes: Option<u64>,
    pub sizes: Option<Vec<RawSize>>,
    pub to: Option<Vec<String>>,
    pub precedence: Option<RawPrecedence>,
    pub begin: Option<Span>,
    pub end: Option<Span>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSize {
    pub bytes: Option<u64>,
    pub from: Option<u64>,
    pub to: Option<u64>,
    pub share: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawPrecedence {
    Flash,
    Immediate,
    Priority,
    Routine,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEvent {
    pub at: Span,
    pub what: RawWhat,
    pub partner: Option<String>,
    pub groups: Option<Vec<Vec<String>>>,
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    pub posts_per_minute: Option<Millionths>,
    pub bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawWhat {
    Partition,
    Leave,
    Remove,
    Silent,
    Hostile,
    Crash,
}

impl<'a> Document<'a> {
    pub fn parse(origin: &'a str, text: &'a str) -> Result<Document<'a>, Refusal> {
        let document = |raw| Document { origin, text, raw };
        match toml::from_str(text) {
            Ok(raw) => Ok(document(raw)),
            Err(error) => {
                let what = error.message().replace('\n', "; ");
                let empty = document(Raw::default());
                Err(match error.span() {
                    Some(span) => empty.refuse(span, what),
                    None => Refusal(format!("{origin}: {what}")),
                })
            }
        }
    }

    /// A refusal of what stands at this place of the text.
    pub fn refuse(&self, span: Range<usize>, what: impl Into<String>) -> Refusal {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let number = before.matches('\n').count() + 1;
        let line = self.text.lines().nth(number - 1).unwrap_or("").trim();
        let shown: String = line.chars().take(60).collect();
        let what = what.into();
        Refusal(format!("{}, line {number}, `{shown}`: {what}", self.origin))
    }
}

impl RawLink {
    /// This link, with what it does not say taken from `base`.
    pub fn over(&self, base: &RawLink) -> RawLink {
        // A rate takes the place of a trace and the other way round; so do those of the way back.
        let says = self.rate.is_some() || self.trace.is_some();
        let says_back = says || self.rate_back.is_some() || self.trace_back.is_some();
        RawLink {
            between: self.between.clone(),
            absent: self.absent.or(base.absent),
            latency: self.latency.or(base.latency),
            jitter: self.jitter.or(base.jitter),
            loss_percent: self.loss_percent.or(base.loss_percent),
            rate: self.rate.or(base.rate.filter(|_| !says)),
            trace: self.trace.clone().or(base.trace.clone().filter(|_| !says)),
            rate_back: self.rate_back.or(base.rate_back.filter(|_| !says_back)),
            trace_back: self
                .trace_back
                .clone()
                .or(base.trace_back.clone().filter(|_| !says_back)),
            turnaround: self.turnaround.or(base.turnaround),
            hold: self.hold.or(base.hold),
            down: self.down.clone().or(base.down.clone()),
        }
    }
}
