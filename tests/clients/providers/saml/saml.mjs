// A SAML 2.0 provider for the tests, on loopback: whoever asks is logged in as the user that the query names.
// Usage: saml.mjs PORT KEY CERTIFICATE ACS; `weak=sha1` in the query signs with SHA-1.
import { readFileSync } from "node:fs";

import express from "express";
import samlp from "samlp";

const [port, keyFile, certificateFile, acs] = process.argv.slice(2);
const [key, cert] = [readFileSync(keyFile), readFileSync(certificateFile)];
const issuer = `http://127.0.0.1:${port}`;
const people = {
  alice: ["Alice", "Able", ["chat-users", "chat-auditors"]],
  bob: ["Bob", "Baker", ["visitors"]],
};

function profile(id) {
  const [givenName, familyName, groups] = people[id];
  return { id, displayName: id, name: { givenName, familyName }, emails: [{ value: `${id}@alpha.test` }], groups };
}

function answer(weak) {
  return samlp.auth({
    issuer,
    key,
    cert,
    destination: acs,
    recipient: acs,
    lifetimeInSeconds: 300,
    signResponse: !weak,
    signatureAlgorithm: weak ? "rsa-sha1" : "rsa-sha256",
    digestAlgorithm: weak ? "sha1" : "sha256",
    getPostURL: (_audience, _document, _request, done) => done(null, acs),
  });
}

const app = express();
app.get("/sso", (request, response, next) => {
  const { user, weak } = request.query;
  if (!Object.hasOwn(people, user)) return response.sendStatus(404);
  request.user = profile(user);
  answer(weak === "sha1")(request, response, next);
});
app.get("/metadata", samlp.metadata({ issuer, cert, redirectEndpointPath: "/sso", postEndpointPath: "/sso" }));
app.listen(Number(port), "127.0.0.1", () => console.log("ready"));
