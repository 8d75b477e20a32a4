// What makes pages live. Everything works without it: it only saves a click or shows sooner what the server says.
'use strict';
document.documentElement.classList.add('js');
document.addEventListener('DOMContentLoaded', () => {
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: 'auto', style: 'short' });

  // Times go on while the page is open. Beyond a day the server's words stay.
  const tick = () => all('time[datetime]').forEach((time) => {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const far = Math.abs(seconds);
    if (!(far < 86400)) return;
    const [value, unit] = far < 60 ? [Math.trunc(seconds / 10) * 10, 'second'] : far < 3600 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour'];
    time.textContent = relative.format(Math.trunc(value), unit);
  });
  setInterval(tick, 20000);

  // Menus close by Escape and by a click elsewhere.
  const close = (but) => all('details[data-menu][open]').forEach((menu) => { if (menu !== but) menu.open = false; });
  document.addEventListener('click', (event) => close(event.target.closest('details[data-menu]')));
  document.addEventListener('keydown', (event) => {
    const menu = event.key === 'Escape' && document.querySelector('details[data-menu][open]');
    if (menu) { menu.open = false; menu.querySelector('summary').focus(); }
  });

  // [data-place="#place"] on a button: what its form comes to is shown there. What is no such part of a page is gone to.
  document.addEventListener('submit', async (event) => {
    const button = event.submitter, form = event.target;
    const place = button && !form.dataset.plain && button.dataset.place && document.querySelector(button.dataset.place);
    if (!place) return;
    event.preventDefault();
    button.disabled = true;
    place.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form, button)), headers: { 'X-Fragment': '1' } });
      button.disabled = false;
      if (answer.headers.has('X-Fragment')) {
        place.innerHTML = await answer.text();
        place.scrollIntoView({ block: 'nearest' });
      } else {
        form.dataset.plain = '1';
        form.requestSubmit(button);
      }
    } catch { /* the network is away: one may press again */ }
    button.disabled = false;
    place.removeAttribute('aria-busy');
  });

  // A form that is being sent is not sent twice.
  document.addEventListener('submit', (event) => {
    if (event.target.method !== 'post' || event.defaultPrevented) return;
    setTimeout(() => all('button:not([type=button])', event.target).forEach((button) => { button.disabled = true; }));
  });
  addEventListener('pageshow', (event) => {
    if (event.persisted) all('form button:disabled').forEach((button) => { button.disabled = false; });
  });

  // [data-copy="#id"]: copies the text of an element, and says so.
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-copy]');
    if (!button) return;
    const from = document.querySelector(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(from.value ?? from.textContent);
    } catch {
      getSelection().selectAllChildren(from);
      return;
    }
    const words = button.textContent;
    button.textContent = button.dataset.copied || '✓';
    setTimeout(() => { button.textContent = words; }, 1500);
  });

  // [data-filter="#list"]: shows the lines of a list that hold what is typed.
  document.addEventListener('input', (event) => {
    const list = event.target.dataset.filter && document.querySelector(event.target.dataset.filter);
    if (!list) return;
    const wanted = event.target.value.trim().toLowerCase();
    all('[data-line]', list).forEach((line) => { line.hidden = !line.textContent.toLowerCase().includes(wanted); });
    all('[data-group]', list).forEach((group) => { group.hidden = !group.querySelector('[data-line]:not([hidden])'); });
  });

  // What the format of each URL takes besides is shown as soon as the server says which format it is.
  const fields = (form, place) => {
    const said = place.querySelector('[data-formats]');
    if (said) { const name = form.querySelector('#name'); if (name) name.placeholder = said.dataset.name; }
    const formats = new Map((said ? said.dataset.formats : '').split(' ').map((one) => one.split(':')));
    all('[data-at]', form).forEach((field) => { if (formats.has(field.dataset.at)) field.hidden = formats.get(field.dataset.at) !== field.dataset.format; });
  };

  // [data-fragment="#place"] on a form: whenever it changes its fields are sent to data-from, and what comes back is swapped in.
  // The last answer wins, whatever order they come in.
  const fragment = (form) => {
    let timer, asked = 0;
    const load = async () => {
      const mine = ++asked, place = document.querySelector(form.dataset.fragment);
      try {
        const answer = await fetch(form.dataset.from, { method: 'POST', body: new URLSearchParams(new FormData(form)), headers: { 'X-Fragment': '1' } });
        const html = answer.ok ? await answer.text() : null;
        if (mine === asked && html !== null) { place.innerHTML = html; tick(); fields(form, place); }
      } catch { /* the network is away: what is shown stays */ }
    };
    form.addEventListener('input', (event) => {
      if (event.target.closest('[data-quiet]')) return;
      clearTimeout(timer);
      timer = setTimeout(load, 250);
    });
  };
  all('form[data-fragment]').forEach(fragment);

  // [data-search="#list"]: asks the server for the lines that match; what is ticked goes along, and comes back ticked.
  all('[data-search]').forEach((input) => {
    let timer, asked = 0;
    const load = async () => {
      const mine = ++asked;
      try {
        const answer = await fetch(input.dataset.from, { method: 'POST', body: new URLSearchParams(new FormData(input.form)) });
        const html = answer.ok ? await answer.text() : null;
        if (mine === asked && html !== null) document.querySelector(input.dataset.search).innerHTML = html;
      } catch { /* the network is away: what is shown stays */ }
    };
    input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(load, 200); });
    input.addEventListener('keydown', (event) => { if (event.key === 'Enter') event.preventDefault(); });
  });

  // [data-live="stream"]: events as they come. The stream says which; the server makes their lines. What the page knows already
  // is not shown twice, and no more than 200 lines are kept.
  all('[data-live]').forEach((list) => {
    const most = 200, batch = 50, state = document.querySelector('#live-state'), queue = [];
    let since = list.dataset.since, busy = false;
    const say = (what, tone) => { state.textContent = state.dataset[what]; state.className = `badge ${tone}`; };
    const show = async () => {
      if (busy || !queue.length) return;
      busy = true;
      queue.splice(0, queue.length - most);
      const ids = queue.splice(0, batch);
      try {
        const answer = await fetch(`${list.dataset.lines}?ids=${ids}`);
        if (!answer.ok || answer.redirected) throw answer.status;
        const made = document.createElement('template');
        made.innerHTML = await answer.text();
        all('li', made.content).forEach((line) => { if (document.getElementById(line.id)) line.remove(); });
        list.prepend(made.content);
        while (list.children.length > most) list.lastElementChild.remove();
        tick();
      } catch {
        queue.unshift(...ids);
        await new Promise((done) => { setTimeout(done, 2000); });
      }
      busy = false;
      show();
    };
    const open = () => {
      const url = new URL(list.dataset.live, location);
      url.searchParams.set('since', since);
      const source = new EventSource(url);
      source.onopen = () => say('on', 'good');
      source.onmessage = (event) => {
        since = event.lastEventId || since;
        queue.push(JSON.parse(event.data).id);
        show();
      };
      source.addEventListener('gap', (event) => {
        since = event.lastEventId || since;
        document.querySelector('#live-gap').hidden = false;
      });
      // The browser comes again by itself and says how far it was, unless it was refused.
      source.onerror = () => {
        const refused = source.readyState === EventSource.CLOSED;
        say(refused ? 'off' : 'again', refused ? 'bad' : 'warn');
        if (refused) setTimeout(open, 10000);
      };
    };
    open();
  });
});
