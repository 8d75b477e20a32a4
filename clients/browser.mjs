// A browser without JavaScript.

/** Follows redirects, keeps cookies for their path, fills in forms: `{ url, status, html }` of where it ends. */
export class Browser {
  constructor() {
    this.cookies = new Map();
    this.visited = [];
  }

  async go(url, form) {
    let [at, body] = [new URL(url), form];
    for (let steps = 0; steps < 20; steps += 1) {
      this.visited.push(at.href);
      const cookies = [...this.cookies.values()].filter((one) => at.pathname.startsWith(one.path));
      const headers = { accept: 'text/html', cookie: cookies.map((one) => `${one.name}=${one.value}`).join('; ') };
      const response = await fetch(at, { method: body ? 'POST' : 'GET', body, headers, redirect: 'manual' });
      for (const line of response.headers.getSetCookie()) this.keep(line);
      const html = await response.text();
      const location = response.headers.get('location');
      if (!location) return { url: at.href, status: response.status, html };
      [at, body] = [new URL(location, at), undefined];
    }
    throw new Error(`it is sent on without end: ${this.visited.join(' ')}`);
  }

  keep(line) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? '/';
    if (value) this.cookies.set(`${name} ${path}`, { name, value, path });
    else this.cookies.delete(`${name} ${path}`);
  }

  /** Sends the first form of a page, or the first for a place, with what it hides and these fields. */
  async submit(page, fields = {}, place) {
    const forms = [...page.html.matchAll(/<form[^>]* action="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
    const [, action, inside] = forms.find(([, action]) => place === undefined || action === place);
    const hidden = [...inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
    return this.go(new URL(action, page.url), new URLSearchParams([...hidden, ...Object.entries(fields)]));
  }
}
