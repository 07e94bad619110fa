-- A journal as version 0.1.0 wrote it (schema 1), dumped with sqlite3's iterdump: one job that succeeded after a failed
-- attempt, one that failed, and one with an accepted map and two running attempts. Never changed: newer versions read it.
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE facts (
        sequence INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        job_sequence INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
INSERT INTO "facts" VALUES(1,'first0000000',1,12567733,'job-accepted','{"v":1,"spec":{"input_paths":["file:///in"],"output_path":"file:///out/first","mapper":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"reducer":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"combiner":null,"n_reducers":2,"name":"first","input_type":"file/txt","use_ssl":true,"split_size_bytes":67108864,"overwrite":false,"params":{},"env":{},"files":[],"max_attempts":4,"timeout_seconds":0,"partitioner":"hash","output_format":"text","compression":"","max_workers":0,"memory_budget_bytes":268435456,"priority":0,"speculation":true,"keep_intermediate":false,"max_bad_records":0,"ignore_input":false,"credentials_secret":"","idempotency_key":"key-1","body_digest":"abababababababababababababababababababababababababababababababab"}}');
INSERT INTO "facts" VALUES(2,'first0000000',2,12567735,'job-started','{"v":1}');
INSERT INTO "facts" VALUES(3,'first0000000',3,12567737,'maps-planned','{"v":1,"tasks":3,"splits":"eAGLjlbKycxLLVbSiY5WSsvMSbXS19fPzFPSMdAxNNAxNtBRKlPSUVKKjY3VwaUSqI5YpUYYSmMBACAifQ=="}');
INSERT INTO "facts" VALUES(4,'first0000000',4,12567737,'attempt-started','{"v":1,"attempt":"first0000000-m-00000-0","worker":"w1"}');
INSERT INTO "facts" VALUES(5,'first0000000',5,12567737,'attempt-started','{"v":1,"attempt":"first0000000-m-00001-0","worker":"w0"}');
INSERT INTO "facts" VALUES(6,'first0000000',6,12567740,'attempt-accepted','{"v":1,"attempt":"first0000000-m-00000-0","output":{"path":"first0000000/first0000000-m-00000/first0000000-m-00000-0","url":"","upload_id":"","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(7,'first0000000',7,12567740,'attempt-started','{"v":1,"attempt":"first0000000-m-00002-0","worker":"w1"}');
INSERT INTO "facts" VALUES(8,'first0000000',8,12567740,'attempt-failed','{"v":1,"attempt":"first0000000-m-00001-0","failure":{"reason":"program_exited","message":"the mapper exited with status 1","retryable":true,"task":"","attempt":"","program":"","exit_status":1,"signal":null,"input":"","stderr_tail":""}}');
INSERT INTO "facts" VALUES(9,'first0000000',9,12567743,'attempt-accepted','{"v":1,"attempt":"first0000000-m-00002-0","output":{"path":"first0000000/first0000000-m-00002/first0000000-m-00002-0","url":"","upload_id":"","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(10,'first0000000',10,12567744,'attempt-started','{"v":1,"attempt":"first0000000-m-00001-1","worker":"w1"}');
INSERT INTO "facts" VALUES(11,'first0000000',11,12567747,'attempt-accepted','{"v":1,"attempt":"first0000000-m-00001-1","output":{"path":"first0000000/first0000000-m-00001/first0000000-m-00001-1","url":"","upload_id":"","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(12,'first0000000',12,12567747,'attempt-started','{"v":1,"attempt":"first0000000-r-00000-0","worker":"w1"}');
INSERT INTO "facts" VALUES(13,'first0000000',13,12567747,'attempt-started','{"v":1,"attempt":"first0000000-r-00001-0","worker":"w0"}');
INSERT INTO "facts" VALUES(14,'first0000000',14,12567749,'upload-opened','{"v":1,"attempt":"first0000000-r-00000-0","url":"file:///out/first/part-r-00000","upload_id":"upload-1"}');
INSERT INTO "facts" VALUES(15,'first0000000',15,12567749,'upload-opened','{"v":1,"attempt":"first0000000-r-00001-0","url":"file:///out/first/part-r-00001","upload_id":"upload-2"}');
INSERT INTO "facts" VALUES(16,'first0000000',16,12567751,'attempt-accepted','{"v":1,"attempt":"first0000000-r-00000-0","output":{"path":"first0000000/first0000000-r-00000/first0000000-r-00000-0","url":"file:///out/first/part-r-00000","upload_id":"upload-1","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(17,'first0000000',17,12567752,'attempt-accepted','{"v":1,"attempt":"first0000000-r-00001-0","output":{"path":"first0000000/first0000000-r-00001/first0000000-r-00001-0","url":"file:///out/first/part-r-00001","upload_id":"upload-2","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(18,'first0000000',18,12567752,'commit-started','{"v":1}');
INSERT INTO "facts" VALUES(19,'first0000000',19,12567754,'job-ended','{"v":1,"status":"succeeded","failure":null}');
INSERT INTO "facts" VALUES(20,'first0000000',20,12567756,'job-cleaned','{"v":1}');
INSERT INTO "facts" VALUES(21,'second000000',1,12567757,'job-accepted','{"v":1,"spec":{"input_paths":["file:///in"],"output_path":"file:///out/second","mapper":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"reducer":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"combiner":null,"n_reducers":1,"name":"second","input_type":"file/txt","use_ssl":true,"split_size_bytes":67108864,"overwrite":false,"params":{},"env":{},"files":[],"max_attempts":4,"timeout_seconds":0,"partitioner":"hash","output_format":"text","compression":"","max_workers":0,"memory_budget_bytes":268435456,"priority":0,"speculation":true,"keep_intermediate":false,"max_bad_records":0,"ignore_input":false,"credentials_secret":"","idempotency_key":"","body_digest":""}}');
INSERT INTO "facts" VALUES(22,'second000000',2,12567759,'job-started','{"v":1}');
INSERT INTO "facts" VALUES(23,'second000000',3,12567761,'maps-planned','{"v":1,"tasks":3,"splits":"eAGLjlbKycxLLVbSiY5WSsvMSbXS19fPzFPSMdAxNNAxNtBRKlPSUVKKjY3VwaUSqI5YpUYYSmMBACAifQ=="}');
INSERT INTO "facts" VALUES(24,'second000000',4,12567761,'attempt-started','{"v":1,"attempt":"second000000-m-00000-0","worker":"w0"}');
INSERT INTO "facts" VALUES(25,'second000000',5,12567761,'attempt-started','{"v":1,"attempt":"second000000-m-00001-0","worker":"w1"}');
INSERT INTO "facts" VALUES(26,'second000000',6,12567763,'attempt-failed','{"v":1,"attempt":"second000000-m-00000-0","failure":{"reason":"input_changed","message":"the input changed","retryable":false,"task":"","attempt":"","program":"","exit_status":null,"signal":null,"input":"","stderr_tail":""}}');
INSERT INTO "facts" VALUES(27,'second000000',7,12567763,'job-ended','{"v":1,"status":"failed","failure":{"reason":"input_changed","message":"the input changed","retryable":false,"task":"second000000-m-00000","attempt":"second000000-m-00000-0","program":"builtin:identity","exit_status":null,"signal":null,"input":"file:///in from byte 0","stderr_tail":""}}');
INSERT INTO "facts" VALUES(28,'second000000',8,12567766,'job-cleaned','{"v":1}');
INSERT INTO "facts" VALUES(29,'third0000000',1,12567766,'job-accepted','{"v":1,"spec":{"input_paths":["file:///in"],"output_path":"file:///out/third","mapper":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"reducer":{"source":"builtin","name":"builtin:identity","digest":"","protocol":"text","stdio":"socket"},"combiner":null,"n_reducers":1,"name":"third","input_type":"file/txt","use_ssl":true,"split_size_bytes":67108864,"overwrite":false,"params":{},"env":{},"files":[],"max_attempts":4,"timeout_seconds":0,"partitioner":"hash","output_format":"text","compression":"","max_workers":0,"memory_budget_bytes":268435456,"priority":0,"speculation":true,"keep_intermediate":false,"max_bad_records":0,"ignore_input":false,"credentials_secret":"","idempotency_key":"","body_digest":""}}');
INSERT INTO "facts" VALUES(30,'third0000000',2,12567769,'job-started','{"v":1}');
INSERT INTO "facts" VALUES(31,'third0000000',3,12567771,'maps-planned','{"v":1,"tasks":3,"splits":"eAGLjlbKycxLLVbSiY5WSsvMSbXS19fPzFPSMdAxNNAxNtBRKlPSUVKKjY3VwaUSqI5YpUYYSmMBACAifQ=="}');
INSERT INTO "facts" VALUES(32,'third0000000',4,12567771,'attempt-started','{"v":1,"attempt":"third0000000-m-00000-0","worker":"w1"}');
INSERT INTO "facts" VALUES(33,'third0000000',5,12567771,'attempt-started','{"v":1,"attempt":"third0000000-m-00001-0","worker":"w0"}');
INSERT INTO "facts" VALUES(34,'third0000000',6,12567773,'attempt-accepted','{"v":1,"attempt":"third0000000-m-00000-0","output":{"path":"third0000000/third0000000-m-00000/third0000000-m-00000-0","url":"","upload_id":"","parts":[],"size_bytes":0,"records":0,"sha256":""},"counters":{"apollo":{"input_records":10}}}');
INSERT INTO "facts" VALUES(35,'third0000000',7,12567773,'attempt-started','{"v":1,"attempt":"third0000000-m-00002-0","worker":"w1"}');
CREATE UNIQUE INDEX facts_of_job ON facts (job, job_sequence);
COMMIT;
