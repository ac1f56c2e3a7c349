//go:build processes

package processes

// redisDifferences are the differences from Redis 7.0 that docs/api.md lists, each with commands
// that show it. TestRedisRandomCommandsAreAnsweredAsByRedis keeps away from them, but for the
// size of the keyspace, which it compares with an allowance.
var redisDifferences = map[string]string{
	"there is one database": `
		SELECT 1`,
	"keys are 1 to 4,096 bytes long": `
		GET ""`,
	"values are at most 8 MiB long": `
		SETRANGE a 8388608 x`,
	"all values are strings": `
		RPUSH a 1`,
	"no Lua": `
		EVAL "return 1" 0`,
	"no messages": `
		PUBLISH a b`,
	"other commands that are not there": `
		COPY {t}a {t}b`,
	"subcommands that are not there": `
		CLIENT LIST`,
	"settings cannot be changed": `
		CONFIG SET maxmemory 0`,
	"settings are those of pxkv": `
		CONFIG GET appendonly`,
	"it is a cluster": `
		CLUSTER MYID`,
	"READONLY is taken": `
		READONLY
		READWRITE`,
	"HELLO tells of a cluster": `
		HELLO`,
	"CLIENT SETINFO of Redis 7.2": `
		CLIENT SETINFO lib-name x`,
	"SET IFEQ": `
		SET a 1
		SET a 2 IFEQ 1`,
	"a transaction has no command that asks all partitions": `
		MULTI
		KEYS *`,
	"a transaction is about one partition": `
		MULTI
		SET a 1
		SET b 1
		EXEC`,
	"MSETNX is about one partition": `
		MSETNX a 1 b 1`,
	"RENAME is about one partition": `
		SET a 1
		RENAME a b`,
	"a watched key that was absent and is absent again is unchanged": `
		WATCH a
		SET a 1
		DEL a
		MULTI
		EXEC`,
	"expired keys are not counted": `
		SET a 1 PXAT 1
		DBSIZE`,
	"hexadecimal numbers are no floats": `
		INCRBYFLOAT a 0x10`,
	"infinity is no float": `
		SET a inf
		INCRBYFLOAT a 1`,
	"the encoding is that of a fresh value": `
		SET a 1
		APPEND a 2
		OBJECT ENCODING a`,
	"MEMORY USAGE counts otherwise": `
		SET a 1
		MEMORY USAGE a`,
	"INFO tells other things": `
		INFO server`,
}
