/**
 * Prints high-volume events as JSON directly from their bytes. Loaded when that is asked for.
 * @module
 */
import { JSON_ROOM, jsonKind, writeEventLine } from '../../json/event-lines.ts';
import { JsonWriter } from '../../json/json-writer.ts';
import type { DirectPrinter } from './event-printer.ts';

export { JsonWriter };

export const jsonPrinter: DirectPrinter = {
  kindOf: jsonKind,
  room: JSON_ROOM,
  print: (input, at, length, line) => writeEventLine(input, at, length, line as JsonWriter),
};
