// What a user of the generated types writes, with no assertion against null and no branch for another media type.
import { listEvents, pauseSubscription } from "./heyapi/index.js";
import type { paths } from "./types.js";

type Page = paths["/events"]["get"]["responses"]["200"]["content"]["application/json"];

export function summaries(page: Page): string[] {
	return page.data.map((event) => event.summary);
}

export async function targets(): Promise<string[]> {
	const page = await listEvents({ throwOnError: true });
	return page.data.data.flatMap((event) => event.targets.map((target) => target.id));
}

export async function pause(id: string): Promise<string> {
	const changed = await pauseSubscription({ throwOnError: true, path: { id }, body: { until: "2027-03-01" } });
	return changed.data.data.status;
}
