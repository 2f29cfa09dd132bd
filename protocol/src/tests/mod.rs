//! Tests of the merge and the decoders: a naive second merge to compare with, random histories
//! in every order of arrival, and stories of a few lines each.

mod authority;
mod barriers;
mod decoders;
mod history;
mod kit;
mod mutations;
mod node;
mod oracle;
mod properties;
mod scenarios;
mod script;
mod stories;
mod story;
