import { Html, html, visible } from './html.js';

const KEYWORDS = new Set(
  `ADD ALL ALTER ALWAYS AND ANY ARRAY AS ASC BEGIN BETWEEN BY CASCADE CASE CAST CHECK COLLATE COLUMN COMMENT COMMIT
  CONCURRENTLY CONSTRAINT CREATE CURRENT_ROLE CURRENT_USER DATABASE DEFAULT DEFINER DELETE DESC DISABLE DISTINCT DO DOMAIN
  DROP ELSE ENABLE END EXCEPT EXECUTE EXISTS FALSE FOR FORCE FOREIGN FROM FUNCTION GRANT GROUP HAVING IF IN INCLUDE INDEX
  INHERIT INSERT INTO INVOKER IS JOIN KEY LANGUAGE LEFT LEVEL LIKE LIMIT MATERIALIZED NO NOBYPASSRLS NOINHERIT NOSUPERUSER NOT
  NULL NULLIF OF ON ONLY OR ORDER OWNER PARTITION PERMISSIVE POLICY PRIMARY PRIVILEGES PROCEDURE PUBLIC REASSIGN REFERENCES
  RENAME RESET RESTRICT RESTRICTIVE RETURNS REVOKE ROLE ROLLBACK ROUTINE ROW RULE SCHEMA SECURITY SELECT SEQUENCE
  SESSION_USER SET SOME TABLE TEMPORARY THEN TO TRIGGER TRUE TRUNCATE TYPE UNION UNIQUE UPDATE USAGE USER USING VALID
  VALIDATE VALUES VIEW WHEN WHERE WITH`.split(/\s+/),
);

// In the order in which PostgreSQL's scanner would take them. Nothing is decided on these: they only colour.
const TOKEN =
  /(?<comment>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<string>'(?:[^']|'')*(?:'|$)|\$(?<tag>\w*)\$[\s\S]*?(?:\$\k<tag>\$|$))|(?<quoted>"(?:[^"]|"")*(?:"|$))|(?<word>[A-Za-z_]\w*)/g;

/** SQL with keywords (`b`), strings (`i`) and comments (`em`) marked. Short elements: a report holds thousands of them. */
export function sqlMarkup(sql: string): Html {
  const parts: Html[] = [];
  let end = 0;
  for (const match of sql.matchAll(TOKEN)) {
    const marked = markToken(match[0], match.groups!);
    if (!marked) continue;
    parts.push(visible(sql.slice(end, match.index)), marked);
    end = match.index + match[0].length;
  }
  return html`${parts}${visible(sql.slice(end))}`;
}

function markToken(
  text: string,
  { comment, string, word }: Readonly<Record<string, string | undefined>>,
): Html | undefined {
  if (comment !== undefined) return html`<em>${visible(text)}</em>`;
  if (string !== undefined) return html`<i>${visible(text)}</i>`;
  return word !== undefined && KEYWORDS.has(word.toUpperCase()) ? html`<b>${text}</b>` : undefined;
}
