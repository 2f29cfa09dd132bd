//! Reads the test vectors in this directory: JSON with bytes in hexadecimal.

// Each test binary uses a part of it.
#![allow(dead_code)]

use serde_json::Value;

/// One object of a file of vectors.
pub struct Vector(Value);

impl Vector {
    /// Parses a file of vectors. Each must name its source.
    pub fn parse(text: &str) -> Self {
        let vector = Self(serde_json::from_str(text).expect("JSON"));
        assert!(!vector.text("source").is_empty());
        vector
    }

    /// The objects of the list `name`, which must not be empty.
    pub fn list(&self, name: &str) -> Vec<Vector> {
        let list = self.0[name].as_array().expect(name);
        assert!(!list.is_empty(), "{name} is empty");
        list.iter().cloned().map(Vector).collect()
    }

    /// The object `name`.
    pub fn object(&self, name: &str) -> Vector {
        assert!(self.0[name].is_object(), "{name} is no object");
        Vector(self.0[name].clone())
    }

    /// The text `name`. It lives on, as domain tags do.
    pub fn text(&self, name: &str) -> &'static str {
        String::from(self.0[name].as_str().expect(name)).leak()
    }

    /// The bytes `name`.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    /// The bytes `name`, which must be `N`.
    pub fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().expect(name)
    }

    /// The list of bytes `name`.
    pub fn bytes_list(&self, name: &str) -> Vec<Vec<u8>> {
        let list = self.0[name].as_array().expect(name);
        list.iter()
            .map(|hex| unhex(hex.as_str().expect(name)))
            .collect()
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}
