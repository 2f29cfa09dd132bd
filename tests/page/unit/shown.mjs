// Shows virtual nodes as plain data: what the page would have, without a browser.
import { options } from '../../../node/web/vendor/preact.js';

void options;

/**
 * @typedef {{tag: string, props: Record<string, unknown>, inner: (Shown | string)[]}} Shown
 */

/**
 * The elements that nodes come to; components are called, hooks stand still.
 * @param {any} node
 * @returns {(Shown | string)[]}
 */
export function shown(node) {
  if (node === null || node === undefined || node === false || node === true) return [];
  if (typeof node === 'string' || typeof node === 'number') return [String(node)];
  if (Array.isArray(node)) return node.flatMap(shown);
  const { children, ...props } = node.props ?? {};
  if (typeof node.type === 'function') {
    if (node.type.name === 'Folded' || node.type.name === 'CodeBlock') {
      const inner = node.type.name === 'CodeBlock' ? [props.text] : shown(children);
      return [{ tag: node.type.name, props: node.type.name === 'CodeBlock' ? { language: props.language } : {}, inner }];
    }
    return shown(node.type(node.props));
  }
  return [{ tag: node.type, props, inner: shown(children) }];
}

/** All elements, the outer ones first. @param {(Shown | string)[]} nodes @returns {Shown[]} */
export function elements(nodes) {
  return nodes.flatMap((it) => (typeof it === 'string' ? [] : [it, ...elements(it.inner)]));
}

/** The text of it all. @param {(Shown | string)[]} nodes @returns {string} */
export function textOf(nodes) {
  return nodes.map((it) => (typeof it === 'string' ? it : textOf(it.inner))).join('');
}
