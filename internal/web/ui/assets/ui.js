// What makes the pages better. Each part is small and does without the others; nothing here is needed.
(() => {
'use strict'
const $ = (sel, root = document) => root.querySelector(sel)
const $$ = (sel, root = document) => [...root.querySelectorAll(sel)]
const make = (tag, props = {}, ...children) => { const e = Object.assign(document.createElement(tag), props); e.append(...children); return e }
const icon = name => {
	const use = document.createElementNS('http://www.w3.org/2000/svg', 'use'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
	use.setAttribute('href', document.currentSprite + '#' + name); svg.setAttribute('class', 'icon'); svg.setAttribute('aria-hidden', 'true'); svg.append(use); return svg
}
document.currentSprite = (document.currentScript?.src || '').replace('ui.js', 'icons.svg')
const typing = e => e.target.closest?.('input, textarea, select, [contenteditable]')

// <copy-text><code>…</code></copy-text> and <copy-link href="…">: a button that copies.
const copied = (button, text) => navigator.clipboard?.writeText(text).then(() => {
	const before = button.title; button.title = 'Copied'; button.replaceChildren(icon('check')); say('Copied')
	setTimeout(() => { button.title = before; button.replaceChildren(icon('copy')) }, 1500)
})
customElements.define('copy-text', class extends HTMLElement {
	connectedCallback() {
		if (this.button || !navigator.clipboard) return
		this.button = make('button', { type: 'button', className: 'button quiet icon-only small', title: 'Copy', ariaLabel: 'Copy ' + this.textContent.trim() }, icon('copy'))
		const text = this.textContent.trim()
		this.button.onclick = () => copied(this.button, text); this.append(this.button)
	}
})
customElements.define('copy-link', class extends HTMLElement {
	connectedCallback() {
		if (this.firstChild || !navigator.clipboard) return
		const b = make('button', { type: 'button', className: 'button small' }, icon('copy'), 'Copy link')
		b.onclick = () => navigator.clipboard.writeText(new URL(this.getAttribute('href'), location.href).href).then(() => { b.lastChild.data = 'Copied'; say('Copied'); setTimeout(() => { b.lastChild.data = 'Copy link' }, 1500) })
		this.append(b)
	}
})

// What a screen reader should hear.
let live
const say = words => { if (!live) { live = make('div', { className: 'hide', ariaLive: 'polite' }); live.setAttribute('role', 'status'); document.body.append(live) } live.textContent = ''; setTimeout(() => { live.textContent = words }, 50) }

// Menus close when one clicks elsewhere or presses Escape.
addEventListener('click', e => $$('details[data-menu][open]').forEach(d => { if (!d.contains(e.target)) d.open = false }))
addEventListener('keydown', e => { if (e.key === 'Escape') $$('details[data-menu][open]').forEach(d => { d.open = false; $('summary', d).focus() }) })

// A toast goes by itself, unless one is at it. It can be closed.
for (const t of $$('[data-toast]')) {
	const b = make('button', { type: 'button', className: 'button quiet icon-only small', ariaLabel: document.documentElement.dataset.close || 'Close' }, icon('x'))
	b.onclick = () => t.remove(); t.append(b)
	let left = setTimeout(() => t.remove(), 12000)
	for (const ev of ['pointerenter', 'focusin']) t.addEventListener(ev, () => clearTimeout(left))
	t.addEventListener('pointerleave', () => { left = setTimeout(() => t.remove(), 5000) })
	// Loading the page again must not tell it twice.
	const u = new URL(location.href); if (u.searchParams.has('done')) { u.searchParams.delete('done'); history.replaceState(history.state, '', u) }
}
$('[data-focus]')?.focus()

// A link with data-dialog opens its page's content over this one.
addEventListener('click', async e => {
	const a = e.target.closest?.('a[data-dialog]')
	if (!a || e.metaKey || e.ctrlKey || e.shiftKey || e.button) return
	e.preventDefault()
	try {
		const r = await fetch(a.href, { headers: { 'X-Dialog': '1' } })
		if (!r.ok || r.redirected) throw 0
		const doc = new DOMParser().parseFromString(await r.text(), 'text/html'), main = $('main', doc)
		const box = make('div', { className: 'in' }, ...main.childNodes), d = make('dialog', {}, box)
		d.setAttribute('aria-label', $('h1', box)?.textContent || '')
		for (const f of $$('form', box)) if (!f.getAttribute('action')) f.action = a.href
		const close = ev => { ev?.preventDefault(); if (!dirty(box) || confirm('What you typed is not saved. Close it all the same?')) d.close() }
		for (const c of $$('[data-cancel]', box)) c.onclick = close
		d.oncancel = close
		const shut = make('button', { type: 'button', className: 'button quiet icon-only', ariaLabel: document.documentElement.dataset.close || 'Close' }, icon('x'))
		shut.onclick = close; $('.page-head', box)?.append(shut)
		d.onclose = () => { d.remove(); a.focus() }
		d.onclick = ev => { if (ev.target === d && !dirty(box)) d.close() }
		document.body.append(d); a.closest('details[data-menu]')?.removeAttribute('open'); d.showModal(); window.htmx?.process(d); wire(d)
		;($('[autofocus]', d) || $('input:not([type=hidden]), select, textarea', d) || $('button', d))?.focus()
	} catch { location.href = a.href }
})

// A form with data-guard asks before what was typed is lost.
const state = f => new URLSearchParams(new FormData(f)).toString()
const dirty = root => $$('form[data-guard]', root).some(f => f.first !== undefined && f.first !== state(f))
const wire = root => {
	for (const f of $$('form[data-guard]', root)) { f.first ??= state(f); f.addEventListener('submit', () => { f.first = undefined }) }
	// A field with data-submit sends its form when it changes.
	for (const el of $$('[data-submit]', root)) el.addEventListener('change', () => el.form.requestSubmit())
	// data-shows="name=value": this part is there only while that field has that value.
	for (const el of $$('[data-shows]', root)) {
		const [name, values] = el.dataset.shows.split('='), form = el.closest('form')
		const set = () => { const now = new FormData(form).getAll(name); el.hidden = !values.split('|').some(v => now.includes(v)) }
		form.addEventListener('change', set); set()
	}
	// A box with data-all ticks all of a name.
	for (const b of $$('input[data-all]', root)) b.addEventListener('change', () => { for (const o of $$(`input[name="${b.dataset.all}"]`, b.form || document)) o.checked = b.checked })
}
addEventListener('beforeunload', e => { if (dirty(document)) e.preventDefault() })
wire(document)
addEventListener('htmx:after:swap', e => wire(e.target instanceof Element ? e.target : document))

// Only one click: a button that was pressed waits for the answer.
addEventListener('submit', e => setTimeout(() => { if (!e.defaultPrevented && e.target.method === 'post') for (const b of $$('button:not([type=button])', e.target)) b.disabled = true }))
addEventListener('pageshow', e => { if (e.persisted) for (const b of $$('button:disabled')) b.disabled = false })

// The palette: Ctrl-K, or the field at the top.
const finder = $('form[data-palette]')
if (finder) {
	const field = $('input', finder)
	const hint = make('kbd', { textContent: /Mac|iP/.test(navigator.platform) ? '⌘K' : 'Ctrl K', ariaHidden: 'true' }); finder.append(hint)
	let d, list, input, rows = [], at = 0, asked = 0
	const mark = n => { at = Math.max(0, Math.min(rows.length - 1, n)); rows.forEach((r, i) => { r.ariaSelected = String(i === at) }); rows[at]?.scrollIntoView({ block: 'nearest' }); input.setAttribute('aria-activedescendant', rows[at]?.id || '') }
	const ask = async () => {
		const n = ++asked
		let found = []
		try { found = await (await fetch(finder.dataset.palette + '?q=' + encodeURIComponent(input.value))).json() } catch { /* offline: nothing found */ }
		if (n !== asked) return
		rows = found.map((f, i) => {
			const li = make('li', { id: 'found-' + i, role: 'option' }, icon(f.icon), make('span', { textContent: f.text }), make('span', { className: 'sub', textContent: f.sub || '' }))
			li.setAttribute('role', 'option'); li.onclick = () => { location.href = f.href }; return li
		})
		list.replaceChildren(...(rows.length ? rows : [make('p', { textContent: 'Nothing is called that.' })])); list.setAttribute('role', rows.length ? 'listbox' : 'presentation'); mark(0)
	}
	const open = () => {
		if (d) return
		input = make('input', { type: 'search', value: field.value, placeholder: 'A customer, a subscription, a page', ariaLabel: 'Find', autocomplete: 'off' })
		input.setAttribute('role', 'combobox'); input.setAttribute('aria-expanded', 'true'); input.setAttribute('aria-controls', 'found')
		list = make('ul', { id: 'found', ariaLabel: 'Found' }); d = make('dialog', { className: 'palette', ariaLabel: 'Find' }, input, list)
		let wait; input.oninput = () => { clearTimeout(wait); wait = setTimeout(ask, 90) }
		input.onkeydown = e => {
			if (e.key === 'ArrowDown') mark(at + 1); else if (e.key === 'ArrowUp') mark(at - 1); else if (e.key === 'Enter') rows[at]?.click(); else return
			e.preventDefault()
		}
		d.onclick = e => { if (e.target === d) d.close() }
		d.onclose = () => { d.remove(); d = null }
		document.body.append(d); d.showModal(); ask()
	}
	addEventListener('keydown', e => { if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') { e.preventDefault(); open() } else if (e.key === '/' && !typing(e)) { e.preventDefault(); open() } })
	field.addEventListener('pointerdown', e => { e.preventDefault(); open() })
}

// The log by keys: j and k walk, Enter opens, o goes to the entry.
addEventListener('keydown', e => {
	if (typing(e) || e.ctrlKey || e.metaKey || e.altKey || $('dialog[open]')) return
	const all = $$('[data-timeline] .entry'); if (!all.length) return
	const now = all.findIndex(x => x.classList.contains('now'))
	const step = { j: 1, k: -1 }[e.key]
	if (step) {
		const next = all[Math.max(0, Math.min(all.length - 1, now < 0 ? 0 : now + step))]
		all[now]?.classList.remove('now'); next.classList.add('now'); $('summary', next).focus({ preventScroll: true }); next.scrollIntoView({ block: 'nearest' }); e.preventDefault()
	} else if (e.key === 'o' && now >= 0) { const a = $('.more a.button[href^="/events/"]', all[now]); if (a) location.href = a.href }
})
// An address that names an entry opens it.
const named = () => { const t = location.hash.length > 1 && document.getElementById(location.hash.slice(1)); if (t && t.matches('.entry')) $('details', t).open = true }
addEventListener('hashchange', named); named()

// What is new waits in a slot until one asks for it, so that nothing moves while one reads.
// <live-entries src="/…/stream" > listens; each message is the HTML of one entry.
customElements.define('live-entries', class extends HTMLElement {
	connectedCallback() {
		this.waiting = []
		this.button = make('button', { type: 'button', className: 'button small', hidden: true }); this.append(this.button)
		this.button.onclick = () => this.show()
		this.start()
		document.addEventListener('visibilitychange', this.seen = () => document.hidden ? this.stop() : this.start())
	}
	start() {
		if (this.source) return
		const u = new URL(this.getAttribute('src'), location.href); if (this.last) u.searchParams.set('after', this.last)
		this.source = new EventSource(u)
		this.source.addEventListener('entry', e => {
			this.last = e.lastEventId
			const doc = new DOMParser().parseFromString(e.data, 'text/html'), entry = $('.entry', doc)
			if (!entry || document.getElementById(entry.id) || this.waiting.some(x => x.id === entry.id)) return
			this.waiting.push(entry); this.tell()
		})
	}
	stop() { this.source?.close(); this.source = null }
	tell() { const n = this.waiting.length; this.button.hidden = !n; this.button.textContent = n === 1 ? 'Show 1 new entry' : `Show ${n} new entries`; say(this.button.textContent) }
	show() {
		const list = document.getElementById(this.getAttribute('for')) || $('[data-timeline]')
		if (!list) { location.reload(); return }
		let today = $('li', list)
		if (!today || $('h3', today)?.textContent !== 'Today') { today = make('li', {}, make('h3', { textContent: 'Today' })); list.prepend(today) }
		for (const e of this.waiting) { e.classList.add('new'); $('h3', today).after(e) }
		this.waiting = []; this.tell()
	}
	disconnectedCallback() { this.stop(); document.removeEventListener('visibilitychange', this.seen) }
})
// <poll-page every="2">: loads its part of the page again until it says done.
customElements.define('poll-part', class extends HTMLElement {
	connectedCallback() { if (!this.hasAttribute('done')) this.timer = setTimeout(() => this.again(), 1000 * (this.getAttribute('every') || 2)) }
	disconnectedCallback() { clearTimeout(this.timer) }
	async again() {
		try {
			const doc = new DOMParser().parseFromString(await (await fetch(location.href)).text(), 'text/html'), next = document.importNode($('poll-part#' + this.id, doc), true)
			this.replaceWith(next); wire(next)
		} catch { this.timer = setTimeout(() => this.again(), 5000) }
	}
})
})()
