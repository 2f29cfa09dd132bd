// People's text: the modules that render it.
export { renderMessage } from '../text/render.js';
export { safeName } from '../text/names.js';
