// Runs before anything else: counts what the content security policy refused, and sets the theme
// before the first paint.
(() => {
  /** @type {any} */ (window).comityPage = { cspViolations: 0, version: '1', refused: [] };
  document.addEventListener('securitypolicyviolation', (event) => {
    const page = /** @type {any} */ (window).comityPage;
    page.cspViolations += 1;
    // The first twenty tell enough to find the cause.
    if (page.refused.length < 20) page.refused.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
  try {
    const theme = localStorage.getItem('comity.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
    const dir = localStorage.getItem('comity.direction');
    if (dir === 'rtl' || dir === 'ltr') document.documentElement.dir = dir;
  } catch {
    // Storage may be switched off: then the system's theme holds.
  }
})();
