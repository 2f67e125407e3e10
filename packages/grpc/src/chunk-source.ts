/**
 * Reading sockets into one buffer that serves every connection of the process, instead of 64 KB of
 * fresh memory for each read: at a gigabyte a second those keep the garbage collector running all the
 * time, and an idle connection owns no buffer at all.
 */
import { Socket } from "node:net";
import type { OnReadOpts, SocketConstructorOpts } from "node:net";

/** Where a connection's bytes come from. A chunk is valid during the call of the listener only. */
export type ChunkSource = (listener: (chunk: Buffer) => void) => void;

/** A socket and how to read it. */
export interface ReadableSocket {
  readonly socket: Socket;
  readonly chunks: ChunkSource;
}

/** Bytes read at most in one go; a Unix socket holds about as many. */
const readBytes = 262_144;

/** A read and the call of its listener happen in one turn, so no two connections use it at once. */
const shared = Buffer.allocUnsafeSlow(readBytes);

/** The `onread` option of a socket that reads into the shared buffer, and the source that it feeds. */
export function sharedReads(): { readonly onread: OnReadOpts; readonly chunks: ChunkSource } {
  let listener: (chunk: Buffer) => void = () => {};
  return {
    onread: {
      buffer: shared,
      callback: (count) => {
        listener(shared.subarray(0, count));
        return true;
      },
    },
    chunks: (each) => {
      listener = each;
    },
  };
}

/** The socket's `data` events: for TLS, which decrypts into buffers of its own. */
export function dataEvents(socket: Socket): ReadableSocket {
  return {
    socket,
    chunks: (listener) => {
      socket.on("data", listener);
    },
  };
}

/** What is used of a socket's inside. */
interface HandleHolder {
  _handle: object | null;
}

/**
 * Lets an accepted socket read into the shared buffer. Node takes `onread` when it connects but not
 * when it accepts, so a second Socket is made around the same handle, as Node's own server does with
 * the undocumented option `handle`, and the first is let go. Where Node does not take the option, the
 * socket is read by `data` events: slower, otherwise the same.
 */
export function readAccepted(accepted: Socket): ReadableSocket {
  const holder = accepted as unknown as HandleHolder;
  const handle = holder._handle;
  if (!handle) return dataEvents(accepted);
  const { onread, chunks } = sharedReads();
  const options = { handle, onread } as SocketConstructorOpts;
  const socket = new Socket(options);
  if ((socket as unknown as HandleHolder)._handle !== handle) return dataEvents(accepted);
  holder._handle = null;
  accepted.destroy();
  socket.read(0);
  return { socket, chunks };
}
