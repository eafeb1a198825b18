#!/usr/bin/env bash
# Needs: Node 20 with npm.
# Guess: date libraries agree how many whole months lie between 31 January and 28 February, so a report on how long people stay
# subscribed can be made with any of them.
# Seen: date-fns 4.4.0, dayjs 1.11.23, luxon 3.7.2 and DuckDB 1.5.6 (date_sub) say 1 month; Temporal (@js-temporal/polyfill 0.5.1) and
# DuckDB's own age() say 0 months and 28 days. To 27 February all say 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @duckdb/node-api@1.5.6-r.1 luxon@3.7.2 date-fns@4.4.0 @js-temporal/polyfill@0.5.1 dayjs@1.11.23 >/dev/null
cat >months.mjs <<'END'
import { DuckDBInstance } from '@duckdb/node-api'
import { DateTime } from 'luxon'
import { differenceInMonths, parseISO } from 'date-fns'
import dayjs from 'dayjs'
import { Temporal } from '@js-temporal/polyfill'

const db = await (await DuckDBInstance.create(':memory:')).connect()
const ask = async (q) => Number((await db.runAndReadAll(q)).getRows()[0][0])
for (const to of ['2027-02-27', '2027-02-28']) {
	const from = '2027-01-31'
	console.log(to, JSON.stringify({
		'date-fns': differenceInMonths(parseISO(to), parseISO(from)),
		dayjs: dayjs(to).diff(from, 'month'),
		luxon: Math.floor(DateTime.fromISO(to).diff(DateTime.fromISO(from), 'months').months),
		'duckdb date_sub': await ask(`SELECT date_sub('month', DATE '${from}', DATE '${to}')`),
		'duckdb age': await ask(`SELECT datepart('month', age(TIMESTAMP '${to}', TIMESTAMP '${from}'))`),
		temporal: Temporal.PlainDate.from(from).until(to, { largestUnit: 'month' }).months,
	}))
}
END
node months.mjs | tee seen
diff seen - <<'END'
2027-02-27 {"date-fns":0,"dayjs":0,"luxon":0,"duckdb date_sub":0,"duckdb age":0,"temporal":0}
2027-02-28 {"date-fns":1,"dayjs":1,"luxon":1,"duckdb date_sub":1,"duckdb age":0,"temporal":0}
END
