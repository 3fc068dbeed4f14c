/** JSON Schema of what `doctor` finds. @module */
import { FINDING_SEVERITIES } from '../../lib/cli/doctor/finding.ts';
import type { JsonRecord } from '../../lib/cli/json.ts';
import { type Members, object, type Schema, string } from './types.ts';

const severity: Schema = { enum: FINDING_SEVERITIES };
const count: Schema = { type: 'integer', minimum: 0 };
const described = (description: string, schema: Schema): Schema => ({ description, ...schema });

type Kind = 'finding' | 'diagnosis';
export const findingKinds: { [K in Kind]: Members<Extract<JsonRecord, { kind: K }>> } = {
  finding: {
    doc: 'What a check of this host found.',
    always: {
      id: described('Which check.', string),
      severity,
      found: string,
      meaning: string,
    },
    sometimes: { remedy: described('What mends it.', string) },
  },
  diagnosis: {
    doc: 'The end of the findings.',
    always: {
      severity: described('That of the worst.', severity),
      findings: described(
        'How many of each.',
        object(Object.fromEntries(FINDING_SEVERITIES.map((one) => [one, count]))),
      ),
    },
  },
};
