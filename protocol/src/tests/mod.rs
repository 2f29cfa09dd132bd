mod debug;
mod history;
mod kit;
mod node;
mod oracle;
mod properties;
