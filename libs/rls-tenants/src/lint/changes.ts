import type {
  AlterTableCmd,
  ColumnDef,
  Constraint as ConstraintNode,
  DefElem,
  DropStmt,
  FuncCall,
  GrantStmt,
  Node,
  PartitionBoundSpec,
  RangeVar,
  RenameStmt,
  VariableSetStmt,
} from 'libpg-query';

/** A constraint of a table or of a column. */
export interface Constraint {
  readonly type: 'primary key' | 'unique' | 'foreign key' | 'check' | 'exclude';
  readonly name: string | undefined;
  readonly columns: readonly string[];
  readonly references: string | undefined;
  /** Empty where the primary key is meant. */
  readonly referencedColumns: readonly string[];
  readonly notValid: boolean;
  readonly usingIndex: boolean;
  /** The column of `CHECK (column IS NOT NULL)`. */
  readonly notNullColumn: string | undefined;
}

/** A column as CREATE TABLE or ADD COLUMN declares it. */
export interface Column {
  readonly name: string;
  /** PostgreSQL's own name of its type, without schema and modifiers: `int4`, `varchar`, `text[]`, `note_status`. */
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  /** Why adding the column rewrites the table, if it does. */
  readonly rewrite: string | undefined;
}

/** `DEFAULT`, or values. */
export type PartitionBoundKind = 'default' | 'values';

/** What a statement does, in as many parts as it has. Tables are written as TypeORM does: `note`, `billing.note`. */
export type Change =
  | {
      readonly kind: 'create-table';
      readonly table: string;
      readonly columns: readonly Column[];
      readonly constraints: readonly Constraint[];
      readonly partitioned: boolean;
      readonly partitionOf: string | undefined;
      readonly bound: PartitionBoundKind | undefined;
    }
  | { readonly kind: 'add-column'; readonly table: string; readonly column: Column }
  | {
      readonly kind: 'drop-column' | 'drop-not-null' | 'set-not-null' | 'column-type' | 'column-default';
      readonly table: string;
      readonly column: string;
    }
  | { readonly kind: 'add-constraint'; readonly table: string; readonly constraint: Constraint }
  | {
      readonly kind: 'validate-constraint' | 'drop-constraint';
      readonly table: string;
      readonly name: string;
    }
  | {
      readonly kind: 'create-index';
      readonly table: string;
      readonly name: string | undefined;
      /** Undefined for an expression. */
      readonly columns: readonly (string | undefined)[];
      readonly method: string;
      readonly unique: boolean;
      readonly concurrently: boolean;
      readonly ifNotExists: boolean;
      readonly only: boolean;
    }
  | { readonly kind: 'drop-index'; readonly name: string; readonly concurrently: boolean }
  | {
      readonly kind: 'row-security';
      readonly table: string;
      readonly action: 'enable' | 'disable' | 'force' | 'no-force';
    }
  | {
      readonly kind: 'create-policy' | 'alter-policy';
      readonly table: string;
      readonly name: string;
      readonly using: Node | undefined;
      readonly withCheck: Node | undefined;
      readonly roles: readonly string[];
      readonly permissive: boolean;
      /** Whether it is for SELECT only, as far as the statement tells: ALTER POLICY does by having no WITH CHECK. */
      readonly readsOnly: boolean;
    }
  | { readonly kind: 'drop-policy'; readonly table: string; readonly name: string }
  | {
      readonly kind: 'create-view';
      readonly name: string;
      readonly materialized: boolean;
      readonly securityInvoker: boolean;
      readonly reads: readonly string[];
    }
  | {
      readonly kind: 'attach-partition' | 'detach-partition';
      readonly table: string;
      readonly partition: string;
      readonly concurrently: boolean;
      readonly bound: PartitionBoundKind | undefined;
    }
  | {
      readonly kind: 'rename';
      readonly object: string;
      readonly table: string | undefined;
      readonly from: string;
      readonly to: string;
    }
  | { readonly kind: 'drop'; readonly object: string; readonly name: string; readonly cascade: boolean }
  | {
      readonly kind: 'write';
      readonly verb: 'UPDATE' | 'DELETE' | 'INSERT';
      readonly table: string;
      readonly everyRow: boolean;
      /** INSERT … VALUES writes the rows it names, and no others. */
      readonly values: boolean;
      /** The tables that it takes its rows or its conditions from. */
      readonly reads: readonly string[];
    }
  | { readonly kind: 'read'; readonly tables: readonly string[] }
  | { readonly kind: 'grant'; readonly danger: string | undefined }
  | { readonly kind: 'role-setting'; readonly of: string; readonly setting: string }
  | { readonly kind: 'heavy'; readonly what: string; readonly table: string | undefined }
  | { readonly kind: 'reindex' | 'refresh'; readonly name: string; readonly concurrently: boolean }
  | { readonly kind: 'transaction-control'; readonly what: string }
  | {
      readonly kind: 'setting';
      readonly name: string;
      readonly value: string;
      readonly local: boolean;
      /** RESET, or SET … TO DEFAULT. The name is empty for RESET ALL. */
      readonly reset: boolean;
    }
  | { readonly kind: 'create-enum'; readonly type: string }
  | { readonly kind: 'enum-value'; readonly type: string; readonly value: string }
  | { readonly kind: 'definer-function'; readonly name: string; readonly searchPath: boolean }
  /** Refused inside a transaction, and inside a `query()` of several statements. */
  | { readonly kind: 'outside-transaction'; readonly what: string }
  | { readonly kind: 'unknown'; readonly what: string };

/** Changes of one kind. */
export type ChangeOf<K extends Change['kind']> = OfKind<Change, K>;

type OfKind<C extends Change, K> = C extends Change ? (K extends C['kind'] ? C & { kind: K } : never) : never;

/** What a parsed statement does. Statements that no rule asks about do nothing here. */
export function changesOf(node: Node): Change[] {
  if ('CreateStmt' in node) return createTable(node.CreateStmt);
  if ('AlterTableStmt' in node) {
    const { relation, cmds = [], objtype } = node.AlterTableStmt;
    if (objtype !== 'OBJECT_TABLE' || !relation) return [];
    return cmds.flatMap((cmd) =>
      'AlterTableCmd' in cmd ? alterTable(tableName(relation), cmd.AlterTableCmd) : [],
    );
  }
  if ('IndexStmt' in node) {
    const index = node.IndexStmt;
    const concurrently = index.concurrent === true;
    return [
      {
        kind: 'create-index',
        table: tableName(index.relation!),
        name: index.idxname,
        columns: (index.indexParams ?? []).map((param) =>
          'IndexElem' in param ? param.IndexElem.name : undefined,
        ),
        method: index.accessMethod ?? 'btree',
        unique: index.unique === true,
        concurrently,
        ifNotExists: index.if_not_exists === true,
        only: index.relation?.inh !== true,
      },
      ...(concurrently ? [outside('CREATE INDEX CONCURRENTLY')] : []),
    ];
  }
  if ('DropStmt' in node) return drop(node.DropStmt);
  if ('RenameStmt' in node) return rename(node.RenameStmt);
  if ('CreatePolicyStmt' in node) {
    const {
      table,
      policy_name: name = '',
      qual,
      with_check: withCheck,
      roles,
      permissive,
      cmd_name: command,
    } = node.CreatePolicyStmt;
    const policy = { table: tableName(table!), name, using: qual, withCheck, roles: rolesOf(roles) };
    const readsOnly = command === 'select';
    return [{ kind: 'create-policy', ...policy, permissive: permissive === true, readsOnly }];
  }
  if ('AlterPolicyStmt' in node) {
    const { table, policy_name: name = '', qual, with_check: withCheck, roles } = node.AlterPolicyStmt;
    const policy = { table: tableName(table!), name, using: qual, withCheck, roles: rolesOf(roles) };
    return [{ kind: 'alter-policy', ...policy, permissive: true, readsOnly: withCheck === undefined }];
  }
  return otherObjects(node) ?? data(node) ?? server(node) ?? [];
}

function otherObjects(node: Node): Change[] | undefined {
  if ('ViewStmt' in node) {
    const { view, options = [], query } = node.ViewStmt;
    const securityInvoker = options.some(
      (option) =>
        'DefElem' in option && option.DefElem.defname === 'security_invoker' && isOn(option.DefElem),
    );
    return [
      {
        kind: 'create-view',
        name: tableName(view!),
        materialized: false,
        securityInvoker,
        reads: tablesIn(query),
      },
    ];
  }
  if ('CreateTableAsStmt' in node) {
    const { into, objtype, query } = node.CreateTableAsStmt;
    if (objtype !== 'OBJECT_MATVIEW') return [];
    const name = tableName(into!.rel!);
    return [
      { kind: 'create-view', name, materialized: true, securityInvoker: false, reads: tablesIn(query) },
    ];
  }
  if ('CreateFunctionStmt' in node) {
    const { funcname, options = [] } = node.CreateFunctionStmt;
    const elements = options.flatMap((option) => ('DefElem' in option ? [option.DefElem] : []));
    const definer = elements.some((element) => element.defname === 'security' && isOn(element));
    if (!definer) return [];
    const searchPath = elements.some(
      ({ defname, arg }) =>
        defname === 'set' && arg && 'VariableSetStmt' in arg && arg.VariableSetStmt.name === 'search_path',
    );
    return [{ kind: 'definer-function', name: names(funcname).join('.'), searchPath }];
  }
  if ('CreateEnumStmt' in node)
    return [{ kind: 'create-enum', type: names(node.CreateEnumStmt.typeName).at(-1) ?? '' }];
  if ('AlterEnumStmt' in node) {
    const { typeName, newVal = '', oldVal } = node.AlterEnumStmt;
    const type = names(typeName).join('.');
    return oldVal === undefined ? [{ kind: 'enum-value', type, value: newVal }] : [];
  }
  return undefined;
}

function data(node: Node): Change[] | undefined {
  if ('UpdateStmt' in node) {
    const { relation, whereClause, withClause, fromClause, targetList } = node.UpdateStmt;
    const reads = tablesIn([withClause, fromClause, targetList, whereClause]);
    return [write('UPDATE', relation!, !whereClause, reads)];
  }
  if ('DeleteStmt' in node) {
    const { relation, whereClause, withClause, usingClause } = node.DeleteStmt;
    return [write('DELETE', relation!, !whereClause, tablesIn([withClause, usingClause, whereClause]))];
  }
  if ('InsertStmt' in node) {
    const { relation, selectStmt } = node.InsertStmt;
    const select = selectStmt && 'SelectStmt' in selectStmt ? selectStmt.SelectStmt : undefined;
    const values = !select || (select.valuesLists !== undefined && select.valuesLists.length > 0);
    const everyRow = !values && select.whereClause === undefined && select.fromClause !== undefined;
    const reads = tablesIn([node.InsertStmt.withClause, selectStmt]);
    return [{ ...write('INSERT', relation!, everyRow, reads), values }];
  }
  if ('SelectStmt' in node) {
    const tables = tablesIn(node.SelectStmt);
    return [
      ...nodesOf(node.SelectStmt.targetList, 'FuncCall').flatMap(configured),
      ...(tables.length > 0 ? [{ kind: 'read', tables } as const] : []),
    ];
  }
  if ('TruncateStmt' in node) {
    return (node.TruncateStmt.relations ?? []).map((relation) => heavy('TRUNCATE', relation));
  }
  if ('LockStmt' in node) {
    return (node.LockStmt.relations ?? []).map((relation) => heavy('LOCK TABLE', relation));
  }
  if ('ClusterStmt' in node || 'RepackStmt' in node)
    return [{ kind: 'heavy', what: 'CLUSTER', table: undefined }];
  if ('VacuumStmt' in node) {
    const { options = [], rels = [], is_vacuumcmd: isVacuum } = node.VacuumStmt;
    if (!isVacuum) return [];
    const [first] = rels;
    const table =
      first && 'VacuumRelation' in first && first.VacuumRelation.relation
        ? tableName(first.VacuumRelation.relation)
        : undefined;
    return [
      ...(hasOption(options, 'full') ? [{ kind: 'heavy', what: 'VACUUM FULL', table } as const] : []),
      outside('VACUUM'),
    ];
  }
  if ('ReindexStmt' in node) {
    const { relation, name, params = [] } = node.ReindexStmt;
    const concurrently = hasOption(params, 'concurrently');
    return [
      { kind: 'reindex', name: relation ? tableName(relation) : (name ?? ''), concurrently },
      ...(concurrently ? [outside('REINDEX CONCURRENTLY')] : []),
    ];
  }
  if ('RefreshMatViewStmt' in node) {
    const { relation, concurrent } = node.RefreshMatViewStmt;
    return [{ kind: 'refresh', name: tableName(relation!), concurrently: concurrent === true }];
  }
  return undefined;
}

function server(node: Node): Change[] | undefined {
  if ('GrantStmt' in node) return [{ kind: 'grant', danger: grantDanger(node.GrantStmt) }];
  if ('AlterDefaultPrivilegesStmt' in node && node.AlterDefaultPrivilegesStmt.action) {
    return [{ kind: 'grant', danger: grantDanger(node.AlterDefaultPrivilegesStmt.action) }];
  }
  if ('GrantRoleStmt' in node) {
    const { granted_roles: granted = [], is_grant: isGrant, opt = [] } = node.GrantRoleStmt;
    if (!isGrant) return [];
    const withoutInherit = opt.some(
      (option) => 'DefElem' in option && option.DefElem.defname === 'inherit' && !isOn(option.DefElem),
    );
    const role = granted.map((one) => ('AccessPriv' in one ? one.AccessPriv.priv_name : '')).join(', ');
    const danger = `its members inherit every privilege and every policy of "${role}"`;
    return [{ kind: 'grant', danger: withoutInherit ? undefined : danger }];
  }
  if ('CreateRoleStmt' in node) return roleOptions(node.CreateRoleStmt.options);
  if ('AlterRoleStmt' in node) return roleOptions(node.AlterRoleStmt.options);
  if ('AlterRoleSetStmt' in node) {
    const { role, setstmt } = node.AlterRoleSetStmt;
    return roleSetting(`role "${role?.rolename ?? 'ALL'}"`, setstmt);
  }
  if ('AlterDatabaseSetStmt' in node) {
    const { dbname = '', setstmt } = node.AlterDatabaseSetStmt;
    return roleSetting(`database "${dbname}"`, setstmt);
  }
  if ('TransactionStmt' in node) {
    const what = (node.TransactionStmt.kind ?? '').replace('TRANS_STMT_', '').replaceAll('_', ' ');
    return [{ kind: 'transaction-control', what }];
  }
  if ('VariableSetStmt' in node) {
    const { name = '', args = [], is_local: local, kind } = node.VariableSetStmt;
    const reset = kind === 'VAR_RESET' || kind === 'VAR_RESET_ALL' || kind === 'VAR_SET_DEFAULT';
    // SET TRANSACTION, which is over with the transaction.
    if (kind === 'VAR_SET_MULTI') return [];
    return [{ kind: 'setting', name, value: args.map(constant).join(', '), local: local === true, reset }];
  }
  if ('AlterSystemStmt' in node) return [outside('ALTER SYSTEM')];
  if ('DoStmt' in node) return [{ kind: 'unknown', what: 'a DO block' }];
  return undefined;
}

/** `set_config()` with constants is a SET. */
function configured({ funcname, args = [] }: FuncCall): Change[] {
  const [name = '', value = '', local = ''] = args.map(constant);
  if (names(funcname).at(-1) !== 'set_config' || name === '') return [];
  return [{ kind: 'setting', name, value, local: local === 'true', reset: false }];
}

function createTable({
  relation,
  tableElts = [],
  partspec,
  partbound,
  inhRelations = [],
}: Extract<Node, { CreateStmt: unknown }>['CreateStmt']): Change[] {
  if (!relation || relation.relpersistence === 't') return [];
  const columns = tableElts.flatMap((element) => ('ColumnDef' in element ? [element.ColumnDef] : []));
  const own = tableElts.flatMap((element) => ('Constraint' in element ? constraint(element.Constraint) : []));
  const [parent] = inhRelations;
  return [
    {
      kind: 'create-table',
      table: tableName(relation),
      columns: columns.map(columnOf),
      constraints: [...columns.flatMap(columnConstraints), ...own],
      partitioned: partspec !== undefined,
      partitionOf: partbound && parent && 'RangeVar' in parent ? tableName(parent.RangeVar) : undefined,
      bound: boundOf(partbound),
    },
  ];
}

function boundOf(bound: PartitionBoundSpec | undefined): PartitionBoundKind | undefined {
  return bound && (bound.is_default === true ? 'default' : 'values');
}

function alterTable(table: string, { subtype, name = '', def, behavior }: AlterTableCmd): Change[] {
  switch (subtype) {
    case 'AT_AddColumn': {
      if (!def || !('ColumnDef' in def)) return [];
      const added = columnConstraints(def.ColumnDef);
      return [
        { kind: 'add-column', table, column: columnOf(def.ColumnDef) },
        ...added.map((one) => ({ kind: 'add-constraint', table, constraint: one }) as const),
      ];
    }
    case 'AT_AddConstraint':
      return def && 'Constraint' in def
        ? constraint(def.Constraint).map((one) => ({ kind: 'add-constraint', table, constraint: one }))
        : [];
    case 'AT_DropColumn':
      return [
        { kind: 'drop-column', table, column: name },
        ...(behavior === 'DROP_CASCADE' ? [cascade(`column ${table}.${name}`)] : []),
      ];
    case 'AT_DropConstraint':
      return [
        { kind: 'drop-constraint', table, name },
        ...(behavior === 'DROP_CASCADE' ? [cascade(`constraint ${table}.${name}`)] : []),
      ];
    case 'AT_ColumnDefault':
      return [{ kind: 'column-default', table, column: name }];
    case 'AT_SetNotNull':
      return [{ kind: 'set-not-null', table, column: name }];
    case 'AT_DropNotNull':
      return [{ kind: 'drop-not-null', table, column: name }];
    case 'AT_AlterColumnType':
      return [{ kind: 'column-type', table, column: name }];
    case 'AT_ValidateConstraint':
      return [{ kind: 'validate-constraint', table, name }];
    case 'AT_EnableRowSecurity':
      return [{ kind: 'row-security', table, action: 'enable' }];
    case 'AT_DisableRowSecurity':
      return [{ kind: 'row-security', table, action: 'disable' }];
    case 'AT_ForceRowSecurity':
      return [{ kind: 'row-security', table, action: 'force' }];
    case 'AT_NoForceRowSecurity':
      return [{ kind: 'row-security', table, action: 'no-force' }];
    case 'AT_AttachPartition':
    case 'AT_DetachPartition': {
      if (!def || !('PartitionCmd' in def)) return [];
      const partition = tableName(def.PartitionCmd.name!);
      const concurrently = def.PartitionCmd.concurrent === true;
      const bound = boundOf(def.PartitionCmd.bound);
      if (subtype === 'AT_AttachPartition')
        return [{ kind: 'attach-partition', table, partition, concurrently, bound }];
      return [
        { kind: 'detach-partition', table, partition, concurrently, bound },
        ...(concurrently ? [outside('DETACH PARTITION CONCURRENTLY')] : []),
      ];
    }
    case 'AT_SetLogged':
    case 'AT_SetUnLogged':
      return [{ kind: 'heavy', what: subtype === 'AT_SetLogged' ? 'SET LOGGED' : 'SET UNLOGGED', table }];
    case 'AT_DisableTrig':
    case 'AT_DisableTrigAll':
    case 'AT_DisableTrigUser':
      return [{ kind: 'heavy', what: 'DISABLE TRIGGER', table }];
    default:
      return [];
  }
}

const CONSTRAINT_TYPES: Readonly<Record<string, Constraint['type']>> = {
  CONSTR_PRIMARY: 'primary key',
  CONSTR_UNIQUE: 'unique',
  CONSTR_FOREIGN: 'foreign key',
  CONSTR_CHECK: 'check',
  CONSTR_EXCLUSION: 'exclude',
};

function constraint(node: ConstraintNode, column?: string): Constraint[] {
  const type = CONSTRAINT_TYPES[node.contype ?? ''];
  if (!type) return [];
  const columns = names(type === 'foreign key' ? node.fk_attrs : node.keys);
  return [
    {
      type,
      name: node.conname,
      columns: columns.length === 0 && column !== undefined ? [column] : columns,
      references: node.pktable ? tableName(node.pktable) : undefined,
      referencedColumns: names(node.pk_attrs),
      notValid: node.skip_validation === true,
      usingIndex: node.indexname !== undefined,
      notNullColumn: notNullColumn(node.raw_expr),
    },
  ];
}

function notNullColumn(expression: Node | undefined): string | undefined {
  if (!expression || !('NullTest' in expression)) return undefined;
  const { nulltesttype, arg } = expression.NullTest;
  return nulltesttype === 'IS_NOT_NULL' && arg && 'ColumnRef' in arg
    ? names(arg.ColumnRef.fields).at(-1)
    : undefined;
}

function columnConstraints({ colname, constraints = [] }: ColumnDef): Constraint[] {
  return constraints.flatMap((one) => ('Constraint' in one ? constraint(one.Constraint, colname) : []));
}

function columnOf({ colname = '', constraints = [], typeName }: ColumnDef): Column {
  const own = constraints.flatMap((one) => ('Constraint' in one ? [one.Constraint] : []));
  const byDefault = own.find(({ contype }) => contype === 'CONSTR_DEFAULT');
  const serial = /^(?:big|small)?serial$/.test(names(typeName?.names).at(-1) ?? '');
  const identity = own.some(({ contype }) => contype === 'CONSTR_IDENTITY');
  const stored = own.some(
    ({ contype, generated_kind: kind }) => contype === 'CONSTR_GENERATED' && kind !== 'v',
  );
  const volatile = byDefault?.raw_expr && volatileFunction(byDefault.raw_expr);
  return {
    name: colname,
    type: `${names(typeName?.names).at(-1) ?? ''}${typeName?.arrayBounds ? '[]' : ''}`,
    notNull: own.some(({ contype }) => contype === 'CONSTR_NOTNULL' || contype === 'CONSTR_PRIMARY'),
    hasDefault:
      byDefault !== undefined ||
      serial ||
      identity ||
      own.some(({ contype }) => contype === 'CONSTR_GENERATED'),
    rewrite: serial
      ? 'a serial column calls nextval() for each row'
      : identity
        ? 'an identity column numbers each row'
        : stored
          ? 'a stored generated column is computed for each row'
          : volatile
            ? `${volatile}() is volatile: it is called for each row`
            : undefined,
  };
}

const VOLATILE = new Set([
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'uuid_generate_v1',
  'uuid_generate_v4',
  'random',
  'clock_timestamp',
  'timeofday',
  'nextval',
]);

function volatileFunction(expression: Node): string | undefined {
  return nodesOf(expression, 'FuncCall')
    .map(({ funcname }) => names(funcname as Node[]).at(-1))
    .find((name) => name !== undefined && VOLATILE.has(name));
}

/** Kinds of objects whose loss loses data or breaks what runs. */
const DROPPED: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_SCHEMA: 'schema',
  OBJECT_TYPE: 'type',
  OBJECT_VIEW: 'view',
  OBJECT_MATVIEW: 'materialized view',
};

function drop({ objects = [], removeType, behavior, concurrent }: DropStmt): Change[] {
  return objects.flatMap((object): Change[] => {
    const parts = objectName(object);
    const name = pathOf(parts);
    if (removeType === 'OBJECT_INDEX') {
      const concurrently = concurrent === true;
      return [
        { kind: 'drop-index', name, concurrently },
        ...(concurrently ? [outside('DROP INDEX CONCURRENTLY')] : []),
      ];
    }
    if (removeType === 'OBJECT_POLICY') {
      return [{ kind: 'drop-policy', table: pathOf(parts.slice(0, -1)), name: parts.at(-1) ?? '' }];
    }
    const kind = DROPPED[removeType ?? ''];
    if (kind) return [{ kind: 'drop', object: kind, name, cascade: behavior === 'DROP_CASCADE' }];
    return behavior === 'DROP_CASCADE' ? [cascade(name)] : [];
  });
}

function cascade(name: string): Change {
  return { kind: 'drop', object: 'object', name, cascade: true };
}

function objectName(object: Node): string[] {
  if ('List' in object) return names(object.List.items);
  if ('TypeName' in object) return names(object.TypeName.names);
  return names([object]);
}

const RENAMED: Readonly<Record<string, string>> = {
  OBJECT_TABLE: 'table',
  OBJECT_COLUMN: 'column',
  OBJECT_SCHEMA: 'schema',
  OBJECT_TYPE: 'type',
};

function rename({ renameType, relation, subname = '', newname = '', object }: RenameStmt): Change[] {
  const kind = RENAMED[renameType ?? ''];
  if (!kind) return [];
  const table = relation && tableName(relation);
  const from = kind === 'column' ? subname : (table ?? (object ? pathOf(objectName(object)) : subname));
  return [{ kind: 'rename', object: kind, table, from, to: newname }];
}

function grantDanger({
  is_grant: isGrant,
  privileges,
  grantees,
  targtype,
  objtype,
}: GrantStmt): string | undefined {
  if (!isGrant) return undefined;
  // USAGE on a schema, EXECUTE on a function and the like give nobody rows.
  if (objtype !== 'OBJECT_TABLE') return undefined;
  if (rolesOf(grantees).includes('public')) return 'every role of the database gets it';
  if (targtype === 'ACL_TARGET_ALL_IN_SCHEMA')
    return 'it covers tables that no policy protects, and the migrations table';
  if (!privileges)
    return 'ALL contains TRUNCATE, REFERENCES and TRIGGER, which row-level security does not cover';
  const outsideRls = privileges
    .map((one) => ('AccessPriv' in one ? (one.AccessPriv.priv_name ?? '') : ''))
    .filter((privilege) => ['truncate', 'references', 'trigger'].includes(privilege));
  return outsideRls.length > 0
    ? `row-level security does not cover ${outsideRls.join(', ').toUpperCase()}`
    : undefined;
}

function roleOptions(options: Node[] = []): Change[] {
  return options
    .flatMap((option) => ('DefElem' in option ? [option.DefElem] : []))
    .filter((option) => ['superuser', 'bypassrls'].includes(option.defname ?? '') && isOn(option))
    .map(({ defname = '' }) => ({
      kind: 'grant',
      danger: `no policy applies to a role with ${defname.toUpperCase()}`,
    }));
}

function roleSetting(of: string, setstmt: VariableSetStmt | undefined): Change[] {
  const isSet = setstmt?.kind === 'VAR_SET_VALUE';
  return isSet ? [{ kind: 'role-setting', of, setting: setstmt.name ?? '' }] : [];
}

function write(
  verb: 'UPDATE' | 'DELETE' | 'INSERT',
  relation: RangeVar,
  everyRow: boolean,
  reads: string[],
): ChangeOf<'write'> {
  return { kind: 'write', verb, table: tableName(relation), everyRow, values: false, reads };
}

function outside(what: string): Change {
  return { kind: 'outside-transaction', what };
}

function heavy(what: string, relation: Node): Change {
  return { kind: 'heavy', what, table: 'RangeVar' in relation ? tableName(relation.RangeVar) : undefined };
}

function hasOption(options: Node[], name: string): boolean {
  return options.some(
    (option) => 'DefElem' in option && option.DefElem.defname === name && isOn(option.DefElem),
  );
}

/** An option without a value is on. */
function isOn({ arg }: DefElem): boolean {
  return !arg || !/^(?:false|off|0|no)$/i.test(constant(arg));
}

function constant(node: Node): string {
  if ('String' in node) return node.String.sval ?? '';
  if ('Boolean' in node) return String(node.Boolean.boolval ?? false);
  if ('Integer' in node) return String(node.Integer.ival ?? 0);
  if ('A_Const' in node) {
    const { sval, ival, boolval } = node.A_Const;
    return sval?.sval ?? (boolval ? String(boolval.boolval ?? false) : String(ival?.ival ?? 0));
  }
  return '';
}

function rolesOf(roles: Node[] = []): string[] {
  return roles.map((role) =>
    'RoleSpec' in role && role.RoleSpec.roletype === 'ROLESPEC_CSTRING'
      ? (role.RoleSpec.rolename ?? '')
      : 'public',
  );
}

/** The texts of a list of names. */
export function names(list: Node[] = []): string[] {
  return list.flatMap((item) => ('String' in item ? [item.String.sval ?? ''] : []));
}

/** A relation as TypeORM writes it. */
export function tableName({ schemaname, relname = '' }: RangeVar): string {
  return pathOf(schemaname === undefined ? [relname] : [schemaname, relname]);
}

/** Names with dots between them. The schema `public` is left out, so that a table has one name whether or not a statement qualifies it. */
export function pathOf(parts: readonly string[]): string {
  return (parts[0] === 'public' && parts.length > 1 ? parts.slice(1) : parts).join('.');
}

/** The tables that a query reads. */
function tablesIn(query: unknown): string[] {
  return nodesOf(query, 'RangeVar').map((relation) => tableName(relation as RangeVar));
}

/** Every node of a kind inside a tree. */
export function nodesOf(tree: unknown, kind: string): Record<string, unknown>[] {
  if (Array.isArray(tree)) return tree.flatMap((child) => nodesOf(child, kind));
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.entries(tree).flatMap(([key, value]) =>
    key === kind ? [value as Record<string, unknown>, ...nodesOf(value, kind)] : nodesOf(value, kind),
  );
}
