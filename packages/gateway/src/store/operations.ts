/** What the database's thread does for the gateway, by name: one table for both sides of the thread. */
import type {
  Activity,
  Claim,
  ComparedAnswers,
  ComparedListing,
  ComparedPage,
  Enqueued,
  Escalation,
  OutboxState,
  QueryListing,
  QueryPage,
  RejectedEscalation,
  Spending,
  StoredCalibration,
  StoredDetector,
  StoredLabel,
  StoredPicture,
  StoredQuery,
} from "../contracts/edge-store.ts";
import type { Failure } from "../core/errors.ts";
import type { CalibrationTables } from "./calibration-tables.ts";
import type { OutboxTable } from "./outbox-table.ts";
import { escalationBytes } from "./outbox-table.ts";
import type { PictureFiles } from "./picture-files.ts";
import type { FileChanges, PictureTable } from "./picture-table.ts";
import type { AddedCounts, RecordTables } from "./record-tables.ts";

/** Input and output of every operation. */
export interface Operations {
  keepDetector: [StoredDetector, undefined | Failure];
  forgetDetector: [string, undefined];
  detectors: [undefined, readonly StoredDetector[]];
  keepQuery: [StoredQuery, undefined];
  query: [string, StoredQuery | undefined];
  queries: [QueryListing, QueryPage];
  keepLabel: [StoredLabel, undefined];
  labels: [string, readonly StoredLabel[]];
  keepPicture: [QueryPicture, undefined];
  offerPicture: [QueryPicture, undefined];
  picture: [string, StoredPicture | undefined];
  enqueue: [Escalation, Enqueued | Failure];
  claim: [number, Claim];
  acknowledge: [{ readonly id: string; readonly query: StoredQuery | undefined }, undefined];
  postpone: [{ readonly id: string; readonly notBefore: number }, undefined];
  release: [string, undefined];
  reject: [{ readonly id: string; readonly reason: string }, undefined];
  rejected: [number, readonly RejectedEscalation[]];
  outboxState: [undefined, OutboxState];
  spend: [Spending, undefined];
  spending: [undefined, readonly Spending[]];
  count: [AddedCounts, undefined];
  activity: [{ readonly fromHour: number; readonly toHour: number }, readonly Activity[]];
  keepPairs: [ComparedAnswers, undefined];
  pairs: [ComparedListing, ComparedPage];
  keepCalibration: [StoredCalibration, undefined];
  calibrations: [undefined, readonly StoredCalibration[]];
}

/** A picture and its query. */
export interface QueryPicture {
  readonly queryId: string;
  readonly picture: StoredPicture;
}

/** The name of an operation. */
export type OperationName = keyof Operations;

/** What operations work on. */
export interface StoreTables {
  readonly outbox: OutboxTable;
  readonly pictures: PictureTable;
  readonly records: RecordTables;
  readonly files: PictureFiles;
  readonly calibrations: CalibrationTables;
}

/** What a group of operations shares. */
export interface Group extends FileChanges {
  /** Bytes that earlier ones of the group add to the outbox. */
  outboxBytes: number;
  /** Names were made that must reach the disk before the commit. */
  syncFolder: boolean;
}

/** How one operation is done. */
export interface Operation<Name extends OperationName> {
  /** `promised`: acknowledged once it is on the disk; `behind`: may wait and be lost; `read`: changes no row. */
  readonly durability: "promised" | "behind" | "read";
  /** Files it writes before the transaction; a failure is its answer and it is not run. */
  readonly prepare?: (tables: StoreTables, input: Operations[Name][0], group: Group) => Failure | undefined;
  /** Its rows, within the transaction. */
  readonly run: (
    tables: StoreTables,
    input: Operations[Name][0],
    now: number,
    group: Group,
  ) => Operations[Name][1];
  /** After the commit. */
  readonly after?: (tables: StoreTables, input: Operations[Name][0]) => void;
}

function writeFile(
  { files }: StoreTables,
  queryId: string,
  picture: StoredPicture,
  promised: boolean,
  group: Group,
): void {
  // A second one of a group has the same content or is a mistake of the caller; the first is what the row will speak of.
  if (group.written.has(queryId)) {
    if (promised && files.promise(queryId)) group.syncFolder = true;
    return;
  }
  group.written.set(queryId, files.write(queryId, picture.bytes, promised));
  if (promised) group.syncFolder = true;
}

function promiseFile(tables: StoreTables, queryId: string, group: Group): void {
  if (tables.pictures.bytesOf(queryId) !== undefined && tables.files.promise(queryId))
    group.syncFolder = true;
}

const enqueue: Operation<"enqueue"> = {
  durability: "promised",
  prepare(tables, escalation, group) {
    const { id, picture } = escalation;
    if (tables.outbox.find(id) !== undefined) return undefined;
    const stored = picture?.bytes.byteLength ?? tables.pictures.bytesOf(id);
    const bytes = escalationBytes(escalation, stored);
    const refused = tables.outbox.refusal(group.outboxBytes + bytes);
    if (refused !== undefined) return refused;
    group.outboxBytes += bytes;
    if (picture !== undefined) writeFile(tables, id, picture, true, group);
    else promiseFile(tables, id, group);
    return undefined;
  },
  run(tables, escalation, now, group) {
    const { id, picture, query } = escalation;
    if (query !== undefined) tables.records.putQuery(query);
    const known = tables.outbox.find(id);
    if (known !== undefined) return known;
    // The row first: what is in the outbox is not dropped to make room.
    const stored = picture === undefined ? tables.pictures.bytesOf(id) : group.written.get(id)?.bytes;
    tables.outbox.add(escalation, stored, now);
    if (picture === undefined) tables.pictures.promote(id, group);
    else tables.pictures.put(id, picture.mediaType, true, group);
    return "queued";
  },
};

const writes = {
  enqueue,
  keepDetector: {
    durability: "promised",
    run: ({ records }, detector) => records.putDetector(detector),
  },
  forgetDetector: {
    durability: "promised",
    run: ({ records }, id) => records.deleteDetector(id) as undefined,
  },
  keepQuery: { durability: "behind", run: ({ records }, query) => records.putQuery(query) as undefined },
  keepLabel: {
    durability: "promised",
    prepare: (tables, { queryId }, group) => promiseFile(tables, queryId, group) as undefined,
    run(tables, label, _now, group) {
      tables.records.putLabel(label);
      tables.pictures.promote(label.queryId, group);
      return undefined;
    },
  },
  keepPicture: {
    durability: "promised",
    prepare: (tables, { queryId, picture }, group) =>
      writeFile(tables, queryId, picture, true, group) as undefined,
    run: ({ pictures }, { queryId, picture }, _now, group) =>
      pictures.put(queryId, picture.mediaType, true, group) as undefined,
  },
  offerPicture: {
    durability: "behind",
    prepare(tables, { queryId, picture }, group) {
      if (tables.pictures.bytesOf(queryId) === undefined) writeFile(tables, queryId, picture, false, group);
      return undefined;
    },
    run({ pictures }, { queryId, picture }, _now, group) {
      if (pictures.bytesOf(queryId) === undefined) pictures.put(queryId, picture.mediaType, false, group);
      return undefined;
    },
  },
  acknowledge: {
    durability: "promised",
    run({ outbox, records }, { id, query }, now) {
      if (query !== undefined) records.putQuery(query);
      outbox.settle(id, now);
      return undefined;
    },
    after: ({ outbox }, { id }) => outbox.release(id),
  },
  postpone: {
    durability: "promised",
    run: ({ outbox }, { id, notBefore }) => outbox.postpone(id, notBefore) as undefined,
    after: ({ outbox }, { id }) => outbox.release(id),
  },
  reject: {
    durability: "promised",
    run: ({ outbox }, { id, reason }, now) => outbox.reject(id, reason, now) as undefined,
    after: ({ outbox }, { id }) => outbox.release(id),
  },
  spend: { durability: "promised", run: ({ records }, spending) => records.spend(spending) as undefined },
  count: {
    durability: "behind",
    run: ({ records }, added, now) => records.count(added, now) as undefined,
  },
  keepPairs: {
    durability: "behind",
    run: ({ calibrations }, compared) => calibrations.putPairs(compared) as undefined,
  },
  keepCalibration: {
    durability: "promised",
    run: ({ calibrations }, calibration) => calibrations.putCalibration(calibration) as undefined,
  },
} satisfies { [Name in OperationName]?: Operation<Name> };

const reads = {
  detectors: { durability: "read", run: ({ records }) => records.detectors() },
  query: { durability: "read", run: ({ records }, id) => records.query(id) },
  queries: { durability: "read", run: ({ records }, listing) => records.queries(listing) },
  labels: { durability: "read", run: ({ records }, queryId) => records.labels(queryId) },
  picture: { durability: "read", run: ({ pictures }, queryId) => pictures.read(queryId) },
  claim: {
    durability: "read",
    run: ({ outbox, pictures }, limit, now) => outbox.claim(limit, now, (id) => pictures.read(id)),
  },
  release: { durability: "read", run: ({ outbox }, id) => outbox.release(id) as undefined },
  rejected: { durability: "read", run: ({ outbox }, limit) => outbox.rejected(limit) },
  outboxState: { durability: "read", run: ({ outbox }) => outbox.state() },
  spending: { durability: "read", run: ({ records }) => records.spending() },
  activity: {
    durability: "read",
    run: ({ records }, { fromHour, toHour }) => records.activity(fromHour, toHour),
  },
  pairs: { durability: "read", run: ({ calibrations }, listing) => calibrations.pairs(listing) },
  calibrations: { durability: "read", run: ({ calibrations }) => calibrations.calibrations() },
} satisfies { [Name in OperationName]?: Operation<Name> };

/** Every operation. */
export const operations: { readonly [Name in OperationName]: Operation<Name> } = { ...writes, ...reads };
