/** Model servers that behave like the real ones under load, with faults on demand. */
export {};
